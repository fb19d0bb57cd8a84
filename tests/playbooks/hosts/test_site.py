"""site.yml as a whole: run again it changes nothing, and what stands in its way is said before it changes anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.parts import authority
from tests.parts.machines import REPOSITORY
from tests.playbooks.hosts.conftest import EXAMPLE, NAME, SECRETS, Site, play

SITE = REPOSITORY / "playbooks/site.yml"


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            {"vars": {"rollout_engin": "systemd"}},
            "group all sets rollout_engin, which nothing reads (there is rollout_engine); correct or remove it",
        ),
        (
            {"hosts": {"host2": {"ansible_ssh_host": "192.0.2.1"}}},
            "ansible_ssh_host of host host2 was removed; set ansible_host in its place",
        ),
        (
            {"hosts": {"host2": {"ansible_user": "root"}}},
            "host2 is entered as root, which ends there; set ansible_user to one who may sudo",
        ),
        (
            {"children": {"fleet": {"hosts": {"host9": {}}}}},
            "host9 has no address; set ansible_host, which its neighbours and firewalls go by",
        ),
        (
            {"vars": {"haproxy_names": [], "haproxy_acme_email": ""}},
            (
                "haproxy_names is not set for group proxy; the inventories in infra/inventories do\n"
                "haproxy_certificate or haproxy_acme_email is not set for group proxy; the inventories in "
                "infra/inventories do"
            ),
        ),
        (
            {"vars": {"haproxy_certificate": "/nowhere.pem"}},
            (
                "haproxy_certificate: /nowhere.pem cannot be read (No such file or directory); "
                "name a file of this machine"
            ),
        ),
        (
            {"vars": {"haproxy_port": "eighty"}},
            (
                "group all: argument 'haproxy_port' is of type str and we were unable to convert to int: \"'eighty'\" "
                "cannot be converted to an int; correct it"
            ),
        ),
    ],
)
def test_an_inventory_is_judged_before_any_host_is_touched(tmp_path: Path, said: object, line: str) -> None:
    beside = tmp_path / "beside.yml"
    beside.write_text(yaml.safe_dump({"all": said}))
    done = play([EXAMPLE, beside], SITE)
    assert done.status != 0
    # Of hosts that are not there nothing is said: they were not asked.
    assert f"[ERROR]: {line}\n" in done.output
    assert len(done.errors) == 1


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("rollout_engine", "fleet"),
        ("rollout_environment", "fleet"),
        ("rollout_root", "fleet"),
        ("haproxy_names", "proxy"),
    ],
)
def test_what_is_not_set_is_named(tmp_path: Path, name: str, group: str) -> None:
    inventory = tmp_path / "hosts.yml"
    example = yaml.safe_load(EXAMPLE.read_text())
    del example["all"]["vars"][name]
    inventory.write_text(yaml.safe_dump(example))
    assert play([inventory], SITE).errors == [
        f"[ERROR]: {name} is not set for group {group}; the inventories in infra/inventories do"
    ]


@pytest.mark.parametrize(
    ("name", "days", "fault"),
    [
        ("other.example", 30, "is not for staging.marefia.example; it is for other.example"),
        ("*.example", 30, "is not for staging.marefia.example; it is for *.example"),
        ("*.marefia.example", 30, ""),
        ("staging.marefia.example", 0, "expired on "),
    ],
)
def test_a_certificate_is_judged(tmp_path: Path, name: str, days: int, fault: str) -> None:
    chain = authority.make().write_chain(tmp_path / "chain.pem", name, days=days)
    beside = tmp_path / "beside.yml"
    # The second mistake is always there, so that no host is asked.
    told = {"haproxy_certificate": str(chain), "rollout_engin": "systemd"}
    beside.write_text(yaml.safe_dump({"all": {"vars": told}}))
    said = play([EXAMPLE, beside], SITE).output
    assert ("haproxy_certificate: " in said) == bool(fault)
    assert fault in said


def test_a_file_without_a_key_is_no_certificate(tmp_path: Path) -> None:
    root = authority.make().write_root(tmp_path / "root.pem")
    beside = tmp_path / "beside.yml"
    beside.write_text(yaml.safe_dump({"all": {"vars": {"haproxy_certificate": str(root)}}}))
    assert (
        f"haproxy_certificate: {root} is no PEM file of a certificate" in play([EXAMPLE, beside], SITE).output
    )


def test_a_missing_group_and_a_missing_secret_are_named(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    example = yaml.safe_load(EXAMPLE.read_text())
    example["all"]["children"]["databases"] = example["all"]["children"].pop("database")
    inventory.write_text(yaml.safe_dump(example))
    said = play([inventory], SITE, secrets={"PGUSER": "a", "BROKER_PASWORD": "b"}).output
    assert "no host in group database (there is databases); add one" in said
    assert "the secret PGPASSWORD is missing; add it: `ansible-vault edit infra/secrets/staging.yml`" in said
    assert "the secret BROKER_PASSWORD is missing (there is BROKER_PASWORD)" in said


def test_an_inventory_of_another_environment_than_env_says_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENV", "production")
    said = "[ERROR]: the inventory is of staging, and ENV says production; set ENV=staging"
    assert play([EXAMPLE], SITE).errors == [said]


def test_group_vars_beside_the_inventory_are_judged_too(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/fleet.yml").write_text("service_rot: /srv\n")
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(EXAMPLE.read_text())
    assert play([inventory], SITE).errors == [
        "[ERROR]: group fleet sets service_rot, which nothing reads (there is service_root); correct or remove it"
    ]


@pytest.mark.chaos
@pytest.mark.verify
def test_a_second_run_changes_nothing(site: Site) -> None:
    assert site.play().status == 0  # single roles may have run since the first
    done = site.play(count=True)
    assert done.status == 0, done.output
    assert set(done.changed.values()) == {0}, done.output
    assert set(site.play("--check", "--diff", count=True).changed.values()) == {0}


@pytest.mark.verify
def test_no_password_stands_in_a_journal(site: Site) -> None:
    secret = [value for name, value in SECRETS.items() if name != "PGUSER"]
    for host in (site.store, site.first, site.second):
        said = site.sh(host, "journalctl --quiet --no-pager --output=cat")
        assert "Invoked with" in said, "what the modules are told goes to the journal"
        assert not [value for value in secret if value in said]


@pytest.mark.verify
def test_a_bare_host_is_told_that_it_needs_a_first_run(site: Site) -> None:
    record = f"/var/lib/host-drift/{NAME}.json"
    site.sh(site.first, f"mv {record} {record}.away")
    try:
        done = site.play("--check", "--diff")
    finally:
        site.sh(site.first, f"mv {record}.away {record}")
    assert done.status != 0
    assert done.errors == [
        (
            f"[ERROR]: nothing was changed: {site.first} has not been set up yet, so there is nothing to compare; "
            "run it once without --check"
        )
    ]


@pytest.mark.verify
def test_a_host_that_is_away_stops_everything_before_a_change(site: Site, tmp_path: Path) -> None:
    beside = tmp_path / "away.yml"
    beside.write_text(yaml.safe_dump({"all": {"hosts": {site.second: {"ansible_port": 1}}}}))
    site.sh(site.first, "rm /etc/systemd/journald.conf.d/50-base.conf")
    done = site.play(beside=beside)
    assert done.status != 0
    (error,) = done.errors
    assert error.startswith(f"[ERROR]: nothing was changed: {site.second} cannot be reached (")
    assert "ssh: connect to host" in error, "its own words"
    assert error.endswith("); start it, or correct how the inventory enters it")
    assert site.sh(site.first, "ls /etc/systemd/journald.conf.d") == ""
    site.mend(site.first)
    assert site.sh(site.first, "ls /etc/systemd/journald.conf.d") == "50-base.conf\n"


@pytest.mark.verify
def test_a_full_disk_stops_everything_before_a_change(site: Site) -> None:
    site.sh(site.first, "mount -t tmpfs -o size=10m none /var/cache/apt")
    try:
        done = site.play()
    finally:
        site.sh(site.first, "umount /var/cache/apt")
    assert done.status != 0
    assert done.errors == [
        (
            f"[ERROR]: nothing was changed: {site.first} has 10 MB free on /var/cache/apt, and 1024 MB are needed; "
            "free space there"
        )
    ]
