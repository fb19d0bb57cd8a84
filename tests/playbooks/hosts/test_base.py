"""What every host has: who may enter, what may reach what, and names that survive."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.playbooks.hosts.conftest import NAME, Site

pytestmark = pytest.mark.verify
# Prints for each address and port whether a connection is accepted, refused or dropped.
PROBE = """
import errno, socket, sys
for each in sys.argv[1:]:
    host, port = each.split(":")
    with socket.socket() as probe:
        probe.settimeout(2)
        code = probe.connect_ex((host, int(port)))
        print({0: "open", errno.ECONNREFUSED: "refused"}.get(code, "dropped"))
"""
LISTEN = "import socket, time; s = socket.create_server(('', 9999)); s.listen(); time.sleep(60)"


def probe(site: Site, host: str, *wanted: str) -> list[str]:
    """What a host gets at `host:port` of the others."""
    targets = []
    for each in wanted:
        name, port = each.split(":")
        targets.append(f"{site.machines.address(name)}:{port}")
    return site.sh(host, f"python3 -c '{PROBE}' {' '.join(targets)}").split()


def test_the_firewall_lets_through_what_is_drawn_and_nothing_else(site: Site) -> None:
    store, first, second = site.store, site.first, site.second
    for host in (store, first):  # something listens where nothing is drawn
        site.sh(host, f'systemd-run -q --unit=listen --collect python3 -c "{LISTEN}"')
    try:
        drawn = [f"{store}:{port}" for port in (22, 80, 443, 5432, 6379)]
        assert probe(site, first, *drawn) == ["open"] * 5
        assert probe(site, store, f"{first}:22", f"{first}:8000", f"{second}:8000") == ["open"] * 3
        undrawn = [f"{store}:9999", f"{second}:8000", f"{store}:8000"]
        assert probe(site, first, *undrawn) == ["dropped"] * 3
        assert probe(site, store, f"{first}:9999") == ["dropped"]
        assert probe(site, first, f"{first}:9999") == ["open"]  # it does listen, and a host reaches itself
    finally:
        for host in (store, first):
            site.sh(host, "systemctl stop listen")


def test_who_is_not_of_the_fleet_reaches_neither_database_nor_broker_nor_web(site: Site) -> None:
    """From the machine that the tests run on."""
    store, first = site.machines.address(site.store), site.machines.address(site.first)
    targets = [f"{store}:{port}" for port in (443, 5432, 6379)] + [f"{first}:8000"]
    done = subprocess.run(["python3", "-c", PROBE, *targets], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["open", "dropped", "dropped", "dropped"]


def test_new_rules_leave_connections_and_the_tables_of_others_alone(site: Site) -> None:
    site.sh(site.first, "nft add table inet neighbour")
    listed = "nft list tables; systemctl reload nftables; nft list tables"
    said = site.sh(site.first, f"{listed}; nft delete table inet neighbour; echo {NAME}").splitlines()
    assert said.count("table inet neighbour") == 2
    assert said.count("table inet host") == 2
    assert said[-1] == NAME


def test_a_wrong_rule_leaves_the_old_ones_in_force(site: Site) -> None:
    site.sh(site.first, "echo 'what is this' >/etc/nftables.d/wrong.nft")
    try:
        before = site.sh(site.first, "nft list table inet host")
        assert site.sh(site.first, "systemctl reload nftables 2>/dev/null || echo refused") == "refused\n"
        assert site.sh(site.first, "nft list table inet host") == before
        assert "policy drop" in before
    finally:
        site.sh(site.first, "rm /etc/nftables.d/wrong.nft; systemctl reload nftables")


@pytest.mark.parametrize("login", ["root", "admin"])
def test_ssh_takes_keys_alone_and_never_root(site: Site, login: str) -> None:
    options = [
        "BatchMode=yes",
        "PubkeyAuthentication=no",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
    ]
    command = [
        "ssh",
        *(f"-o{each}" for each in options),
        f"{login}@{site.machines.address(site.first)}",
        "true",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Permission denied (publickey)" in done.stderr
    told = site.sh(site.first, "sshd -T").splitlines()
    assert {"permitrootlogin no", "passwordauthentication no", "authenticationmethods publickey"} <= set(told)


def test_names_of_the_inventory_come_back_when_a_boot_wrote_the_hosts_file_anew(site: Site) -> None:
    address = site.machines.address(site.store)
    for name in ("database", "cache", "proxy", site.store):
        assert site.sh(site.first, f"getent hosts {name}").split()[0] == address
    anew = "cp /etc/hosts /run/; sed '/BEGIN names/,$d' /run/hosts >/etc/hosts"
    assert site.sh(site.first, f"{anew}; getent hosts database || echo unknown") == "unknown\n"
    site.sh(site.first, "systemctl restart host-names; cmp /etc/hosts /run/hosts")


def test_time_and_security_updates_look_after_themselves(site: Site) -> None:
    assert (
        site.sh(site.first, "systemctl is-enabled systemd-timesyncd apt-daily-upgrade.timer").split()
        == ["enabled"] * 2
    )
    settings = site.sh(site.first, "apt-config dump")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in settings
    assert "origin=Debian,codename=${distro_codename},label=Debian-Security" in settings


def test_the_journal_outlives_a_boot_and_is_bounded(site: Site) -> None:
    said = site.sh(site.first, "systemd-analyze cat-config systemd/journald.conf; ls -d /var/log/journal/*")
    assert "\nSystemMaxUse=500M\n" in said
    assert "\nStorage=persistent\n" in said
    told = site.sh(site.first, "journalctl --quiet --output=cat --unit=systemd-journald")
    sizes = re.findall(r"^System Journal .* max (\S+),", told, re.MULTILINE)
    assert sizes[-1:] == ["500M"], told
