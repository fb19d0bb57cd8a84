"""What was changed by hand is named, shown by a check, and mended; what another service did is not."""

from __future__ import annotations

import pytest
import yaml

from tests.parts.machines import REPOSITORY
from tests.playbooks.hosts.conftest import NAME, Site

pytestmark = pytest.mark.verify
SOCKET = f"/etc/systemd/system/{NAME}.socket"
DROP_IN = f"/etc/systemd/system/{NAME}-web@.service.d"


def test_a_hand_edit_is_named_shown_and_mended(site: Site) -> None:
    assert site.drift(site.first) == []
    site.sh(site.first, f"echo '# by hand' >>{SOCKET}; systemctl daemon-reload")
    site.sh(site.first, f"chmod 777 /srv/{NAME}; apt-get -qq remove -y logrotate")
    assert site.drift(site.first) == [
        f"{SOCKET} was edited",
        f"/srv/{NAME} has mode drwxrwxrwx, not drwxr-xr-x",
        "the package logrotate is not installed",
    ]
    shown = site.play("--check", "--diff", "--limit", f"{site.first},localhost").output
    edits = [line for line in shown.splitlines() if line.startswith(("+++", "+", "-"))]
    assert edits == [
        f"--- before: /srv/{NAME}",
        f"+++ after: /srv/{NAME}",
        "-drwxrwxrwx root:root",
        "+drwxr-xr-x root:root",
        f"--- before: {SOCKET}",
        f"+++ after: {SOCKET}",
        "-# by hand",
    ]
    assert "logrotate" in shown
    site.mend(site.first)
    assert site.drift(site.first) == []
    stale = f"systemctl show --value --property=NeedDaemonReload {NAME}.socket"
    assert site.sh(site.first, stale) == "no\n", "systemd still goes by the edit"


@pytest.mark.chaos
def test_what_was_stopped_by_hand_runs_again_and_a_rule_of_the_firewall_is_gone(site: Site) -> None:
    stopped = "nftables host-names postgresql@17-main redis-server haproxy"
    site.sh(site.store, f"systemctl disable --quiet {stopped}")
    # The firewall goes on: its stop takes away all tables, also those by which a container finds its name server.
    site.sh(site.store, "systemctl stop host-names postgresql@17-main redis-server haproxy")
    site.sh(
        site.first,
        f"echo 'add rule inet host input tcp dport 4444 accept' >>/etc/nftables.d/{NAME}.nft; "
        "systemctl reload nftables; nft list table inet host | grep 4444",
    )
    site.mend(f"{site.store},{site.first}")
    for state in ("active", "enabled"):
        told = site.sh(site.store, f"systemctl is-{state} {stopped}", check=False)
        assert told.split() == [state] * len(stopped.split())
    assert "4444" not in site.sh(site.first, "nft list table inet host")


@pytest.mark.chaos
def test_strays_are_named_and_never_recorded_and_units_of_no_process_are_removed(site: Site) -> None:
    left = f"/etc/systemd/system/{NAME}-mailer@.service"
    strays = ["/etc/nftables.d/stray.nft", DROP_IN, f"{DROP_IN}/more.conf"]
    site.sh(site.first, f"mkdir {DROP_IN}; touch {strays[0]} {strays[2]} {left}")
    try:
        named = [f"{path} does not belong there" for path in strays]
        assert site.drift(site.first) == sorted([*named, f"{left} does not belong there"])
        site.mend(site.first)
        assert site.drift(site.first) == named
    finally:
        site.sh(site.first, f"rm -r {strays[0]} {DROP_IN}")


@pytest.mark.chaos
def test_what_another_service_recorded_is_no_drift(site: Site) -> None:
    """Its files, and what it changed of those that both share; until somebody edits that by hand, too."""
    shared = "/etc/hosts.names"
    site.sh(site.first, f"touch /etc/nftables.d/neighbour.nft; cp {shared} /run/; echo '# more' >>{shared}")
    try:
        done = site.tasks(
            f"""
- hosts: {site.first}
  become: true
  tasks:
    - host_drift: {{state: recorded, name: neighbour, paths: [{shared}, /etc/nftables.d/neighbour.nft]}}
"""
        )
        assert done.status == 0, done.output
        assert site.drift(site.first) == []
        site.sh(site.first, f"echo '# by hand' >>{shared}")
        assert site.drift(site.first) == [f"{shared} was edited"]
    finally:
        site.sh(
            site.first,
            "rm /etc/nftables.d/neighbour.nft /var/lib/host-drift/neighbour.json; cp /run/hosts.names /etc/",
        )
    assert site.drift(site.first) == []


@pytest.mark.chaos
def test_what_belongs_to_a_set_up_that_was_cut_short_is_nobodys_stray(site: Site) -> None:
    """Another service's: only its files, and with the way to go on."""
    site.sh(site.first, "touch /etc/nftables.d/neighbour.nft /etc/nftables.d/neighbours.nft")
    facts = yaml.safe_load((REPOSITORY / "infra/service.yml").read_text()) | {"name": "neighbour"}
    try:
        for changed in (1, 0):
            done = site.play(
                "--limit",
                f"{site.first},localhost",
                count=True,
                rollout_facts=facts,
                base_packages=["there-is-none"],
            )
            assert (done.status, done.changed[site.first]) == (2, changed), done.output
        assert site.drift(site.first) == [
            "/etc/nftables.d/neighbours.nft does not belong there",
            "the set-up of neighbour did not come to its end",
        ]
        assert site.drift(site.first, "neighbour") == ["its set-up did not come to its end"]
    finally:
        site.sh(site.first, "rm /etc/nftables.d/neighbour*.nft /var/lib/host-drift/neighbour.json")
    assert site.drift(site.first) == []
