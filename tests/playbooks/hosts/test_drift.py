"""What was changed by hand is named, shown by a check, and mended; what another service did is not."""

from __future__ import annotations

import pytest

from tests.playbooks.hosts.conftest import NAME, Site

pytestmark = pytest.mark.verify
UNIT = f"/etc/systemd/system/{NAME}-web@.service"
DROP_IN = f"/etc/systemd/system/{NAME}-web@.service.d"


def test_a_hand_edit_is_named_shown_and_mended(site: Site) -> None:
    assert site.drift(site.first) == []
    site.sh(site.first, f"echo '# by hand' >>{UNIT}; chmod 777 /srv/{NAME}; apt-get -qq remove -y logrotate")
    assert site.drift(site.first) == [
        f"{UNIT} was edited",
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
        f"--- before: {UNIT}",
        f"+++ after: {UNIT}",
        "-# by hand",
    ]
    assert "logrotate" in shown
    site.mend(site.first)
    assert site.drift(site.first) == []


def test_strays_are_named_and_never_recorded_and_units_of_no_process_are_removed(site: Site) -> None:
    left = f"/etc/systemd/system/{NAME}-mailer@.service"
    strays = ["/etc/nftables.d/stray.nft", DROP_IN, f"{DROP_IN}/more.conf"]
    site.sh(site.first, f"mkdir {DROP_IN}; touch {strays[0]} {strays[2]}; cp {UNIT} {left}")
    try:
        named = [f"{path} does not belong there" for path in strays]
        assert site.drift(site.first) == sorted([*named, f"{left} does not belong there"])
        site.mend(site.first)
        assert site.drift(site.first) == named
    finally:
        site.sh(site.first, f"rm -r {strays[0]} {DROP_IN}")


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
