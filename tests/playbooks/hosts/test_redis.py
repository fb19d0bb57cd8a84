"""The broker: who may log in, what a rotation leaves alone, and what survives a restart."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.playbooks.hosts import scratch
from tests.playbooks.hosts.scratch import NAME

pytestmark = pytest.mark.verify
FIRST, SECOND = "first-of-the-tests", "second-of-the-tests"


class Cache:
    """The broker's host, and one of the fleet to ask from."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, scratch.names("cache")[0]
        self.address = scratch.address(self.host)
        self.client = next(each for each in scratch.names("fleet") if each != self.host)

    def apply(self, now: str = FIRST, before: str = "", **told: object) -> scratch.Done:
        previous = {"secrets_previous": {"BROKER_PASSWORD": before}} if before else {}
        done = scratch.roles(
            self.folder, "cache", ["redis"], {"secrets": {"BROKER_PASSWORD": now}} | previous | told
        )
        assert done.status == 0, done.output
        return done

    def ask(self, command: str, password: str = FIRST, user: str = NAME) -> str:
        """What the broker answers to a host of the fleet."""
        words = f"redis-cli -h {self.address} --user {user} --no-auth-warning {command}"
        done = scratch.host(self.client).run("sh -c %s", f"REDISCLI_AUTH={password} {words} 2>&1")
        return str(done.stdout).strip()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    made = Cache(tmp_path_factory.mktemp("cache"))
    scratch.sh(made.client, "apt-get install -y -qq redis-tools >/dev/null")
    made.apply()
    return made


def test_a_second_run_changes_nothing(cache: Cache) -> None:
    assert set(cache.apply().changed.values()) == {0}


def test_the_service_may_log_in_and_use_it(cache: Cache) -> None:
    assert cache.ask("set tests:key value") == "OK"
    assert cache.ask("get tests:key") == "value"


def test_nobody_may_without_the_password(cache: Cache) -> None:
    assert "WRONGPASS" in cache.ask("get tests:key", "wrong")
    words = f"redis-cli -h {cache.address} get tests:key"
    assert "NOAUTH" in scratch.host(cache.client).run(words).stdout


@pytest.mark.parametrize("command", ["flushall", "config get dir", "acl list", "client list", "shutdown"])
def test_the_service_may_do_nothing_to_the_server(cache: Cache, command: str) -> None:
    assert "NOPERM" in cache.ask(command)


def test_it_listens_at_its_own_address_only(cache: Cache) -> None:
    listening = scratch.sh(cache.host, "ss -Hltn 'sport = 6379' | awk '{print $4}'").split()
    assert sorted(listening) == sorted([f"{cache.address}:6379", "127.0.0.1:6379"])


def test_passwords_are_hashed_and_nobody_else_reads_them(cache: Cache) -> None:
    for name in ("users.acl", f"users.d/{NAME}.acl"):
        file = scratch.host(cache.host).file(f"/etc/redis/{name}")
        assert (file.mode, file.user, file.group) == (0o640, "root", "redis")
        assert FIRST not in file.content_string


def test_a_rotation_leaves_the_old_password_and_open_connections_working(cache: Cache) -> None:
    words = f"redis-cli -h {cache.address} --user {NAME} --no-auth-warning blpop tests:waiting 0"
    scratch.sh(
        cache.client,
        f"rm -f /tmp/waiting; systemd-run -q -E REDISCLI_AUTH={FIRST} sh -c {shlex.quote(words + ' >/tmp/waiting')}",
    )
    cache.apply(SECOND, FIRST)
    assert [cache.ask("ping", each) for each in (FIRST, SECOND)] == ["PONG", "PONG"]
    cache.ask("rpush tests:waiting still-there")
    scratch.until(lambda: "still-there" in scratch.sh(cache.client, "cat /tmp/waiting"))
    cache.apply(SECOND)
    assert "WRONGPASS" in cache.ask("ping", FIRST)
    assert cache.ask("ping", SECOND) == "PONG"
    cache.apply()


@pytest.mark.chaos
def test_another_service_stands_beside_it(cache: Cache) -> None:
    cache.apply("of-the-other", redis_name="beside")
    try:
        assert cache.ask("ping", "of-the-other", "beside") == "PONG"
        assert cache.ask("ping") == "PONG"
    finally:
        scratch.sh(cache.host, "rm /etc/redis/users.d/beside.acl")
        cache.apply()
    assert "WRONGPASS" in cache.ask("ping", "of-the-other", "beside")


def test_what_was_written_survives_a_kill(cache: Cache) -> None:
    cache.ask("set tests:kept here")
    scratch.until(lambda: "aof_pending_bio_fsync:0" in cache.ask("info persistence"))
    scratch.sh(cache.host, "sleep 1.1; systemctl kill -s KILL redis-server")  # appendfsync everysec
    scratch.until(lambda: cache.ask("get tests:kept") == "here")
    assert scratch.host(cache.host).service("redis-server").is_enabled
    cache.ask("del tests:kept tests:key")
