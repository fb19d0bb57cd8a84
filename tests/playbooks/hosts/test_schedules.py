"""What a machine does on schedule: each job locked, timed out and logged, and its last result kept."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.parts import authority
from tests.parts.machines import REPOSITORY
from tests.playbooks.hosts.conftest import NAME, Site

pytestmark = pytest.mark.verify
OWN = "jobs-of-tests"
FOLDER = f"/var/lib/{OWN}/schedules"
RUN = f"python3 /usr/local/lib/{OWN}/schedule.py {OWN}"
JOBS = {
    "minute": {"hosts": "fleet", "at": "* * * * *", "seconds": 5, "command": "echo this is $NAME; exit 3"},
    "slow": {"hosts": "fleet", "at": "0 0 1 1 *", "seconds": 60, "command": "sleep 3"},
    # It hangs for longer than its second, with a child, until the time limit under test ends both.
    "stuck": {"hosts": "fleet", "at": "0 0 1 1 *", "seconds": 1, "command": "sleep 31415 & wait"},
    "elsewhere": {"hosts": "proxy", "at": "* * * * *", "seconds": 5, "command": "true"},
}
PLAY = """
- hosts: fleet
  become: true
  roles: [schedules]
"""


def result(site: Site, name: str, job: str) -> dict[str, Any]:
    return dict(json.loads(site.sh(site.first, f"cat /var/lib/{name}/schedules/{job}.json")))


@pytest.fixture(scope="module")
def began(site: Site) -> float:
    """Jobs of the tests' own beside those of the service, since when."""
    done = site.tasks(PLAY, schedules_name=OWN, schedules_jobs=JOBS)
    assert done.status == 0, done.output
    return time.monotonic()


def test_two_of_a_job_never_run_at_once(site: Site, began: float) -> None:
    told = site.sh(site.first, f"{RUN} slow & sleep 1; {RUN} slow || echo $?; wait; echo ended")
    assert told == "75\nended\n"
    assert result(site, OWN, "slow")["seconds"] >= 3


def test_a_job_that_takes_too_long_is_ended_with_all_that_it_started(site: Site, began: float) -> None:
    # Both `echo`s give what is asserted: the status that is due, and that no child is left.
    assert (
        site.sh(site.first, f"{RUN} stuck || echo $?; pgrep -f 'sleep 3141[5]' || echo none") == "124\nnone\n"
    )
    assert result(site, OWN, "stuck")["status"] == 124


def test_a_job_runs_only_on_the_hosts_that_it_is_for(site: Site, began: float) -> None:
    told = site.sh(site.first, f"cat /etc/cron.d/{OWN} /usr/local/lib/{OWN}/schedules.json")
    assert "minute" in told
    assert "elsewhere" not in told
    assert "certificates" not in site.sh(site.first, f"cat /etc/cron.d/{NAME}")


@pytest.mark.parametrize(("days", "status"), [(30, 0), (10, 123)])
def test_a_certificate_that_expires_soon_fails_its_check(
    site: Site, tmp_path: Path, days: int, status: int
) -> None:
    pem = authority.make().write_chain(tmp_path / "soon.pem", "soon.example.org", days=days).read_text()
    certificate = f"/etc/haproxy/certs/soon-{days}.pem"
    site.machines.write(site.store, certificate, pem)
    try:
        site.sh(
            site.store,
            f"python3 /usr/local/lib/{NAME}/schedule.py {NAME} certificates || test $? -eq {status}",
        )
        told = json.loads(site.sh(site.store, f"cat /var/lib/{NAME}/schedules/certificates.json"))
    finally:
        site.sh(site.store, f"rm {certificate}")
    assert told["status"] == status
    words = site.sh(site.store, f"journalctl --output=cat -t {NAME}-certificates --since=-10s")
    assert "soon.example.org" in words


def test_a_disk_that_is_nearly_full_fails_its_check(site: Site) -> None:
    run = f"python3 /usr/local/lib/{NAME}/schedule.py {NAME} disk"
    assert site.sh(site.first, f"{run}; echo $?") == "0\n"
    full = f"mount -t tmpfs -o size=10m none /srv; status=0; {run} || status=$?; umount /srv; echo $status"
    assert site.sh(site.first, full) == "1\n"
    assert result(site, NAME, "disk")["status"] == 1
    assert "/srv has less than 1 GB free" in site.sh(site.first, f"journalctl --output=cat -t {NAME}-disk")


def test_the_shipped_schedule_says_all_that_a_job_needs() -> None:
    jobs = yaml.safe_load((REPOSITORY / "infra/schedules.yml").read_text())
    for job in jobs.values():
        assert job.keys() == {"hosts", "at", "seconds", "command"}
        assert len(job["at"].split()) == 5


def test_cron_runs_a_job_and_its_result_and_words_are_kept(site: Site, began: float) -> None:
    """The last one here: a minute has nearly gone by."""
    end = began + 75
    while site.sh(site.first, f"ls {FOLDER}/minute.json", check=False) == "":
        assert time.monotonic() < end, "cron ran nothing"
        time.sleep(1)
    told = result(site, OWN, "minute")
    assert told["status"] == 3
    assert abs(told["start"] - time.time()) < 120
    assert (
        site.sh(site.first, f"journalctl --output=cat -t {OWN}-minute").splitlines()[-1] == f"this is {OWN}"
    )
    site.sh(site.first, f"rm -r /etc/cron.d/{OWN} /usr/local/lib/{OWN} /var/lib/{OWN}")
    site.sh(site.second, f"rm -r /etc/cron.d/{OWN} /usr/local/lib/{OWN}")
