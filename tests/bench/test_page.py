"""The page of figures: its table adds up, and it says under which load it was measured."""

import re

from tests.bench.__main__ import page
from tests.bench.compare import Comparison, Interval
from tests.bench.rollout import Costs
from tests.rollout.checkout import STEPS


def test_the_steps_and_the_rest_are_the_whole_command_and_the_load_is_told() -> None:
    flat = Interval(1.0, 0.1)
    costs = Costs(
        {"first": dict(zip(STEPS, (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0), strict=True))},
        {"first": 30.0},
        nothing=1.0,
        nothing_cpu=0.5,
    )
    servers = {"3 servers": {"`make site`": 9.0}, "1 server": {"`make site`": 7.25}}
    text = page(Comparison(flat, flat, flat, 2.0, 1.0, 24, 250), costs, servers, (0.5, 3.25))
    assert "Load average of the machine: 0.5 at the start, 3.2 at the end." in text
    table = dict(re.findall(r"^\| \**([\w ]+?)\** \| ([\d.]+) \|$", text, re.MULTILINE))
    assert list(table) == [*STEPS[:-1], "the rest", "the whole command"]
    assert table["the rest"] == "8.5"
    assert sum(float(table[name]) for name in list(table)[:-1]) == float(table["the whole command"])
    assert "| seconds | 3 servers | 1 server |\n|---|---:|---:|\n| `make site` | 9.0 | 7.2 |" in text
