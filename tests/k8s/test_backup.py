"""`make backup`, `make drill` and `make restore` where the database is the cluster's own."""

import json
import re

import pytest
import yaml

from tests.k8s.namespace import ENDED, ClusterSite, Namespace
from tests.rollout.checkout import REPOSITORY, wait_until

pytestmark = [pytest.mark.verify, pytest.mark.chaos]

NAMED = re.compile(r"\d{8}T\d{6}Z")


def note(namespace: Namespace, word: str) -> None:
    """A row that comes and goes with the database."""
    namespace.rows(f"insert into stays_amenity (name) values ('{word}')")  # noqa: S608 - a test's own word


def noted(namespace: Namespace) -> set[str]:
    return {row["name"] for row in namespace.rows("select name from stays_amenity")}


def in_the_backups(namespace: Namespace, script: str) -> str:
    """What a shell says that has the backups as the CronJob has them."""
    job = namespace.kubectl.get("cronjob/backup")["spec"]["jobTemplate"]["spec"]["template"]
    container = job["spec"]["containers"][0]
    container |= {"command": ["sh", "-euc", script]}
    del container["args"]
    about = {"name": "looks", "labels": {"tests/not": "the-service"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": job["spec"]}
    namespace.kubectl("apply", "--filename=-", told=json.dumps(pod))
    try:
        wait_until(
            lambda: namespace.kubectl.get("pod/looks")["status"]["phase"] in ENDED,
            "the shell to end",
            60,
        )
        return namespace.kubectl("logs", "looks")
    finally:
        namespace.kubectl("delete", "pod", "looks", "--wait=true")


@pytest.fixture(scope="module")
def backup(site: ClusterSite, namespace: Namespace) -> str:
    """One that was made under load."""
    with site.losing_nothing("backup"):
        said = namespace.make("backup").output
    assert "made and read again" in said
    (label,) = NAMED.findall(said)
    return str(label)


def test_it_is_made_every_night_as_the_schedules_say() -> None:
    schedule = yaml.safe_load((REPOSITORY / "infra/schedules.yml").read_text())["backup"]
    documents = yaml.safe_load_all((REPOSITORY / "k8s/base/data/backup/cronjob.yaml").read_text())
    (job,) = [each["spec"] for each in documents if each["kind"] == "CronJob"]
    assert job["schedule"] == schedule["at"]
    assert job["jobTemplate"]["spec"]["activeDeadlineSeconds"] == schedule["seconds"]


def test_the_cronjob_itself_makes_one(namespace: Namespace, backup: str) -> None:
    namespace.kubectl("create", "job", "--from=cronjob/backup", "tonight")
    try:
        wait_until(
            lambda: namespace.kubectl.get("job/tonight")["status"].get("succeeded"), "tonight's backup", 60
        )
        assert NAMED.fullmatch(namespace.kubectl("logs", "job/tonight").strip())
    finally:
        namespace.kubectl("delete", "job", "tonight", "--wait=true")


def test_a_drill_finds_all_of_it(site: ClusterSite, namespace: Namespace, backup: str) -> None:
    with site.losing_nothing("drill"):
        said = namespace.make("drill").output
    tables = int(namespace.rows("select count(*) as n from pg_tables where schemaname = 'public'")[0]["n"])
    assert f"{tables} tables with " in said
    assert "drill" not in str(namespace.rows("select datname from pg_database"))


def test_a_restore_while_the_service_runs_is_refused(namespace: Namespace, backup: str) -> None:
    before = namespace.rows("select datname from pg_database")
    done = namespace.make("restore", check=False)
    assert done.status != 0
    assert "run `make down` first" in done.output
    assert not namespace.read("lease")
    assert namespace.rows("select datname from pg_database") == before


def test_a_dry_run_says_whether_the_newest_is_whole(namespace: Namespace, backup: str) -> None:
    assert "is whole" in namespace.make("restore", DRY_RUN="1").output


@pytest.mark.parametrize(
    ("moment", "words"),
    [("1999-01-01", "the oldest backup is"), ("yesterday", "is no moment")],
    ids=["before the oldest", "no moment"],
)
def test_a_time_that_there_is_no_backup_of_is_one_line(
    namespace: Namespace, backup: str, moment: str, words: str
) -> None:
    done = namespace.make("restore", check=False, DRY_RUN="1", TIME=moment)
    assert done.status != 0
    assert words in done.output


@pytest.mark.chaos
def test_a_damaged_backup_is_refused_by_name(namespace: Namespace, backup: str) -> None:
    newest = NAMED.findall(namespace.make("backup").output)[0]
    in_the_backups(namespace, f"echo more >> /backups/{newest}/dump")
    try:
        done = namespace.make("drill", check=False)
        assert done.status != 0
        assert f"the backup {newest} is damaged: dump" in done.output
    finally:
        in_the_backups(namespace, f"rm -r /backups/{newest}")


@pytest.mark.chaos
def test_rows_that_differ_from_what_was_noted_fail_the_drill(namespace: Namespace, backup: str) -> None:
    """The negative control: what is compared is what was restored."""
    newest = NAMED.findall(namespace.make("backup").output)[0]
    other = "sed -i '/stays_amenity/s/$/1/' figures && sha256sum dump figures > sums"
    in_the_backups(namespace, f"cd /backups/{newest} && {other}")
    try:
        done = namespace.make("drill", check=False)
        assert done.status != 0
        assert f"what was restored of {newest} differs: < public.stays_amenity" in done.output
    finally:
        in_the_backups(namespace, f"rm -r /backups/{newest}")


@pytest.mark.chaos
def test_what_was_lost_comes_back_and_what_was_there_is_kept(site: ClusterSite, namespace: Namespace) -> None:
    site.load.end()  # what is booked after the backup goes, as it should
    note(namespace, "before it")
    namespace.make("backup")
    note(namespace, "after it")
    namespace.make("down")
    said = namespace.make("restore").output
    kept = re.search(r"kept in the database (\w+)", said)
    assert kept, said
    namespace.make("deploy")
    namespace.await_whole()
    assert "before it" in noted(namespace)
    assert "after it" not in noted(namespace)
    assert {"datname": kept[1]} in namespace.rows("select datname from pg_database")
