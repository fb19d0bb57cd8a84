"""The page of figures: tables add up, each part says under which load it was measured, and may be measured alone."""

import re

from tests.bench.__main__ import costs_of_rollouts, known, measured, page, servers
from tests.bench.rollout import Costs
from tests.rollout.checkout import STEPS


def test_the_steps_and_the_rest_are_the_whole_command() -> None:
    costs = Costs(
        {"first": dict(zip(STEPS, (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0), strict=True))},
        {"first": 30.0},
        nothing=1.0,
        nothing_cpu=0.5,
    )
    table = dict(re.findall(r"^\| \**([\w ]+?)\** \| ([\d.]+) \|$", costs_of_rollouts(costs), re.MULTILINE))
    assert list(table) == [*STEPS[:-1], "the rest", "the whole command"]
    assert table["the rest"] == "8.5"
    assert sum(float(table[name]) for name in list(table)[:-1]) == float(table["the whole command"])


def test_servers_stand_side_by_side() -> None:
    text = servers({"3 servers": {"`make site`": 9.0}, "1 server": {"`make site`": 7.25}})
    assert "| seconds | 3 servers | 1 server |\n|---|---:|---:|\n| `make site` | 9.0 | 7.2 |" in text


def test_a_part_that_is_measured_alone_leaves_the_others_and_says_its_load() -> None:
    sections = {
        "Servers": measured("Servers", "old figures\n", (1.0, 1.0)),
        "The service": measured("The service", "figures\n", (0.5, 3.25)),
    }
    again = known(page(sections))
    assert again == sections
    assert list(again) == ["The service", "Servers"]
    assert "load average 0.5 at the start, 3.2 at the end." in again["The service"]
    again["Servers"] = measured("Servers", "new figures\n", (0.0, 0.0))
    assert "old figures" not in page(again)
