"""Each mechanism on a cluster is taken away once, and then the promise that rests on it has to fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollout.kube_release import CANDIDATE
from tests.k8s.namespace import ClusterSite, Namespace
from tests.rollout.changes import overlay, replace, visible_text
from tests.rollout.checkout import Change
from tests.rollout.marefia_traffic import MarefiaTraffic

pytestmark = [pytest.mark.verify, pytest.mark.chaos]

WEB = "k8s/base/service/web.yaml"
BOOTING_SECONDS = 60
LOST = r"refused|reset|closed"
SLOTS = "playbooks/plugins/module_utils/rollout/kube_slots.py"


@pytest.fixture(scope="module")
def site(namespace: Namespace) -> Iterator[ClusterSite]:
    """The service under load, to be broken."""
    with namespace.load(MarefiaTraffic()) as load:
        load.is_reported = False
        yield ClusterSite(namespace, load)


@contextmanager
def without(site: ClusterSite, change: Change) -> Iterator[None]:
    """Work with a checkout that lacks a mechanism; afterwards the good release serves again."""
    good = site.checkout.head
    site.checkout.commit(change)
    try:
        yield
    finally:
        site.checkout.go_to(good)
        with site.load.window(f"good again after {change.__name__}"):
            site.checkout.make("deploy")


def count(namespace: Namespace, site: ClusterSite, what: str) -> None:
    """Note what a control lost."""
    lost = len(site.lost(what))
    namespace.figures.append(
        f"{what}, a control: {lost} requests on kept connections lost, and {site.missed[what]} on new ones"
    )


def lacks_pre_stop(checkout: Path) -> None:
    """A web that is told to stop before every node knows that it is no endpoint any more."""
    replace(checkout / WEB, "          lifecycle: {preStop: {sleep: {seconds: 20}}}\n", "")


def lacks_readiness(checkout: Path) -> None:
    """A web that gets traffic as soon as its container runs, and boots for longer than the one before it stays."""
    slow = f'time.sleep(0 if "{CANDIDATE}" in os.environ["HOSTNAME"] else {BOOTING_SECONDS})\n'
    conf = checkout / "app/gunicorn.conf.py"
    replace(conf, "import signal\n", "import signal\nimport time\n")
    replace(conf, "ENV = read_or_exit()\n", f"{slow}ENV = read_or_exit()\n")
    text = (checkout / WEB).read_text()
    begin, end = (
        text.index("          readinessProbe:\n"),
        text.index("          # Longer than every node takes"),
    )
    (checkout / WEB).write_text(text[:begin] + text[end:])


def lacks_undo(checkout: Path) -> None:
    """A rollout that leaves things as they are when it failed."""
    replace(
        checkout / SLOTS,
        '        objects = self._objects(current["number"])\n        self._apply(objects)\n',
        '        return "left as it is"\n',
    )


def test_without_pre_stop_a_deploy_loses_requests(site: ClusterSite, namespace: Namespace) -> None:
    with without(site, lacks_pre_stop):
        with site.load.window("the drain goes"):
            site.checkout.make("deploy")
        site.checkout.commit(visible_text("after the drain is gone"))
        with pytest.raises(AssertionError, match=LOST), site.losing_nothing("without preStop"):
            site.checkout.make("deploy")
    count(namespace, site, "without preStop")


def test_without_readiness_a_deploy_loses_requests(site: ClusterSite, namespace: Namespace) -> None:
    lost = pytest.raises(AssertionError, match="no complete response within")  # its socket takes them at once
    with without(site, lacks_readiness), lost, site.losing_nothing("without readiness"):
        site.checkout.make("deploy", check=False)  # what is verified may not listen yet
    count(namespace, site, "without readiness")


def test_without_undo_a_setting_that_breaks_a_process_stays(site: ClusterSite, namespace: Namespace) -> None:
    with (
        without(site, lacks_undo),
        pytest.raises(AssertionError, match=r"another version serves|is of rollout"),
    ):
        site.refused("worker", overlay("cache:6379", "cache:6380"))
