"""Another Django project, rolled out by the same playbooks: a service file, its settings and its own code.

It differs where it can: names, port, dependencies, a process without a ready file, no page that tells its version.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.rollout.another import Guests, become_the_guestbook, says
from tests.rollout.changes import replace
from tests.rollout.checkout import Change, Checkout, wait_until
from tests.rollout.load import Load
from tests.rollout.promise import Site

pytestmark = pytest.mark.verify

MODELS = "src/guests/models.py"
TEXT = "    text = models.TextField()\n"


@pytest.fixture(scope="module")
def site(checkout: Checkout) -> Iterator[Site]:
    """The guestbook, up, under load until the module's last test."""
    checkout.commit(become_the_guestbook)
    checkout.make("up")
    with Load(checkout.url, Guests()) as load:
        yield Site(checkout, load)


def page(site: Site) -> str:
    """What the first page says: here nothing else tells one release from another."""
    with urlopen(site.checkout.url, timeout=10) as response:
        return str(response.read().decode())


def rows(site: Site, sql: str) -> list[tuple[int | str, ...]]:
    """What stands in the guestbook's database."""
    with closing(sqlite3.connect(f"file:{site.checkout.root}/data/book.db?mode=ro", uri=True)) as database:
        return database.execute(sql).fetchall()


def migration(name: str, operation: str) -> Change:
    """The next migration."""

    def change(checkout: Path) -> None:
        folder = checkout / "src/guests/migrations"
        last = max(path.stem for path in folder.glob("[0-9]*.py"))
        (folder / f"{int(last[:4]) + 1:04}_{name}.py").write_text(
            "from django.db import migrations, models\n\n\n"
            "class Migration(migrations.Migration):\n"
            f'    dependencies = [("guests", "{last}")]\n'
            f"    operations = [{operation}]\n"
        )

    return change


def test_it_is_up_with_all_its_processes(site: Site) -> None:
    assert "Welcome" in page(site)
    assert len(site.checkout.running("clock")) == 1
    said = site.checkout.make("status").output
    assert "ready" in said
    assert "clock" in said
    assert "is well" in site.checkout.make("smoke").output
    before = rows(site, "SELECT count(*) FROM guests_tick")
    wait_until(lambda: rows(site, "SELECT count(*) FROM guests_tick") > before, "the clock to tick")


def test_a_deploy_and_a_rollback_lose_nothing(site: Site) -> None:
    with site.losing_nothing("deploy"):
        site.checkout.commit(says("and come in"))
        site.checkout.make("deploy")
        assert "and come in" in page(site)
    with site.losing_nothing("rollback"):
        site.checkout.make("rollback")
        assert "and come in" not in page(site)
    with site.losing_nothing("forward again"):
        site.checkout.make("up")
        assert "and come in" in page(site)


@pytest.mark.chaos
def test_an_expanding_migration_loses_nothing_and_a_contracting_one_is_refused(site: Site) -> None:
    field = '"entry", "mood", models.CharField(max_length=9, null=True)'
    model = "    mood = models.CharField(max_length=9, null=True)\n"
    with site.losing_nothing("expanding migration"):
        site.checkout.commit(
            lambda checkout: replace(checkout / MODELS, TEXT, TEXT + model),
            migration("mood", f"migrations.AddField({field})"),
        )
        site.checkout.make("deploy")
    good = site.checkout.head
    with site.losing_nothing("contracting migration"):
        site.checkout.commit(
            lambda checkout: replace(checkout / MODELS, TEXT, ""),
            migration("no_text", 'migrations.RemoveField("entry", "text")'),
        )
        refused = site.checkout.make("deploy", check=False)
    site.checkout.go_to(good)
    assert refused.status != 0
    assert "the running release still uses column guests_entry.text" in refused.output
    assert ("mood",) in rows(site, "SELECT name FROM pragma_table_info('guests_entry')")


@pytest.mark.chaos
def test_a_release_that_is_not_well_leaves_the_old_one_serving(site: Site) -> None:
    good, before = site.checkout.head, page(site)
    with site.losing_nothing("a clock that dies"):
        site.checkout.commit(
            says("dead clock"),
            lambda checkout: replace(
                checkout / "src/guests/clock.py",
                "    over =",
                '    raise SystemExit("no spring")\n    over =',
            ),
        )
        failed = site.checkout.make("deploy", check=False)
    site.checkout.go_to(good)
    assert failed.status != 0
    assert "no spring" in failed.output
    assert page(site) == before
    assert len(site.checkout.running("clock")) == 1


@pytest.mark.chaos
def test_a_killed_deployer_leaves_it_serving_and_the_next_deploy_cleans_up(site: Site) -> None:
    with site.losing_nothing("deployer killed at switch, with its children"):
        site.checkout.commit(says("after a kill"))
        deploy = site.checkout.start("deploy")
        site.checkout.await_step("switch", deploy)
        deploy.kill(with_children=True)
    with site.losing_nothing("deploy after a kill"):
        site.checkout.make("deploy")
        assert "after a kill" in page(site)


def test_nothing_was_lost_and_every_entry_is_stored_once(site: Site) -> None:
    site.load.end()
    assert not site.load.report.lost, site.load.report
    assert not site.load.report.unkept, site.load.report
    assert len(site.load.report.writes) > 30
    site.checkout.make("down")
    assert not site.checkout.running("web")
    assert not site.checkout.running("clock")
