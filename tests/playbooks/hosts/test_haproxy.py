"""The proxy in front of the fleet: what it adds, what it never believes, and that it loses nothing."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.parts import authority
from tests.playbooks.hosts import scratch
from tests.playbooks.hosts.scratch import NAME
from tests.rollout.load import Ask, Load
from tests.rollout.wire import Request, Response

pytestmark = pytest.mark.verify
REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
SERVICE_NAME = "answering.example.org"
STATE = "echo show servers state | socat - /run/haproxy/admin.sock"


class Proxy:
    """The proxy as its clients see it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, scratch.names("proxy")[0]
        self.address = scratch.address(self.host)
        self.authority = authority.make()
        self.root = self.authority.write_root(folder / "root.pem")
        self.told = {
            "haproxy_names": [SERVICE_NAME, self.address],
            "haproxy_certificate": str(
                self.authority.write_chain(folder / "chain.pem", SERVICE_NAME, self.address)
            ),
        }

    def apply(self, *options: str, **told: object) -> scratch.Done:
        return scratch.roles(self.folder, "proxy", ["haproxy"], self.told | told, *options)

    def get(
        self, path: str, headers: dict[str, str] | None = None, port: int = 443
    ) -> tuple[int, dict[str, str], str]:
        connection: http.client.HTTPConnection = (
            http.client.HTTPSConnection(
                self.address, port, context=ssl.create_default_context(cafile=self.root), timeout=20
            )
            if port == 443
            else http.client.HTTPConnection(self.address, port, timeout=20)
        )
        connection.request("GET", path, headers={"Host": SERVICE_NAME} | (headers or {}))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        body = response.read().decode()
        connection.close()
        return response.status, found, body

    def tell(self, words: str) -> str:
        """A command to the runtime socket."""
        return scratch.sh(self.host, f"echo {words} | socat - /run/haproxy/admin.sock")

    def up(self, server: str) -> bool:
        rows = [
            line.split() for line in self.tell("show servers state").splitlines() if f" {server} " in line
        ]
        return all(row[5] == "2" for row in rows if row[1] == NAME)


class Traffic:
    """Reads and writes of the tests' own web hosts."""

    def prepare(self, ask: Ask, clients: int) -> None:
        """Nothing to prepare."""

    def reads(self, client: int) -> Sequence[Request]:
        return [Request("GET", "/who"), Request("GET", "/slow/0.05", label="/slow")]

    def write(self, client: int, key: str) -> Request:
        return Request("POST", f"/stored/{key}", 201, body=b"x" * 100, label="/stored")

    def lookup(self, client: int, key: str) -> Request:
        return Request("GET", f"/stored/{key}", label="/stored")

    def stored(self, response: Response) -> int:
        return int(response.body)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Proxy:
    made = Proxy(tmp_path_factory.mktemp("proxy"))
    scratch.serve()
    done = made.apply()
    assert done.status == 0, done.output
    scratch.until(lambda: all(made.up(each) for each in scratch.names("fleet")))
    return made


@pytest.fixture(scope="module")
def load(proxy: Proxy) -> Iterator[Load]:
    made = Load(f"https://{proxy.address}:443", Traffic(), clients=12, authority=proxy.root, most_seconds=300)
    with made:
        yield made


def test_a_second_run_changes_nothing(proxy: Proxy) -> None:
    done = proxy.apply()
    assert done.status == 0, done.output
    assert set(done.changed.values()) == {0}, done.output


def test_a_request_gets_an_id_that_the_service_and_the_client_see(proxy: Proxy) -> None:
    _, headers, body = proxy.get("/who")
    assert REQUEST_ID.fullmatch(headers["x-request-id"])
    assert json.loads(body)["headers"]["x-request-id"] == headers["x-request-id"]
    log = scratch.sh(proxy.host, "journalctl -u haproxy -n 50 -o cat")
    assert headers["x-request-id"] in log


def test_a_sound_id_is_kept_and_another_is_replaced(proxy: Proxy) -> None:
    assert proxy.get("/who", {"X-Request-ID": "from-the-client.1"})[1]["x-request-id"] == "from-the-client.1"
    for bad in ("short", "with blanks in it", "x" * 65):
        given = proxy.get("/who", {"X-Request-ID": bad})[1]["x-request-id"]
        assert given != bad
        assert REQUEST_ID.fullmatch(given)


def test_what_a_client_says_about_its_address_is_not_believed(proxy: Proxy) -> None:
    lies = {
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=192.0.2.1",
        "X-Real-IP": "192.0.2.1",
    }
    told = json.loads(proxy.get("/who", lies)[2])["headers"]
    client = told.pop("x-forwarded-for")
    assert client in scratch.sh(proxy.host, "journalctl -u haproxy -n 50 -o cat | grep /who | tail -1")
    assert client != "192.0.2.1"
    assert told.pop("x-forwarded-proto") == "https"
    assert not {"x-forwarded-host", "forwarded", "x-real-ip"} & told.keys()


def test_plain_http_leads_to_tls_and_keeps_the_method(proxy: Proxy) -> None:
    status, headers, _ = proxy.get("/stored/1", port=80)
    assert (status, headers["location"]) == (308, f"https://{SERVICE_NAME}/stored/1")


@pytest.mark.parametrize("port", [80, 443])
def test_a_name_of_nobodys_is_answered_by_nobody(proxy: Proxy, port: int) -> None:
    assert proxy.get("/who", {"Host": "other.example.org"}, port)[0] == 421


def test_old_tls_is_refused(proxy: Proxy) -> None:
    context = ssl.create_default_context(cafile=proxy.root)
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    connection = http.client.HTTPSConnection(proxy.address, 443, context=context, timeout=20)
    with pytest.raises(ssl.SSLError):
        connection.connect()


def test_the_certificate_and_key_are_roots_alone(proxy: Proxy) -> None:
    pem = scratch.host(proxy.host).file(f"/etc/haproxy/certs/{NAME}.pem")
    assert (pem.user, pem.mode) == ("root", 0o600)


def test_another_service_stands_beside_it(proxy: Proxy) -> None:
    beside = {"name": "beside", "port": scratch.PORT, "health": {"ready": "/readyz"}}
    done = proxy.apply(rollout_facts=beside, haproxy_names=["Beside.example.org"])
    try:
        assert done.status == 0, done.output
        assert proxy.get("/who", {"Host": "beside.example.org"})[0] == 200
        assert proxy.get("/who")[0] == 200
    finally:
        scratch.sh(proxy.host, "rm /etc/haproxy/conf.d/beside.* /etc/haproxy/certs/beside.pem")
        assert proxy.apply().status == 0
    assert proxy.get("/who", {"Host": "beside.example.org"})[0] == 421


def test_a_reload_loses_nothing(proxy: Proxy, load: Load) -> None:
    with load.window("reloads"):
        for _ in range(3):
            scratch.sh(proxy.host, "systemctl reload haproxy")
            load.settle()
    assert not load.reasons()


def test_a_drained_server_loses_nothing_and_stays_drained_over_a_reload(proxy: Proxy, load: Load) -> None:
    server, other = scratch.names("fleet")[:2]
    with load.window("drain"):
        proxy.tell(f"set server {NAME}/{server} state drain")
        load.settle()
        scratch.sh(proxy.host, "systemctl reload haproxy")
        assert {json.loads(proxy.get("/who")[2])["name"] for _ in range(6)} == {other}
        scratch.sh(server, f"systemctl restart {NAME}")
        proxy.tell(f"set server {NAME}/{server} state ready")
        scratch.until(lambda: proxy.up(server))
    assert not load.reasons()
    assert {json.loads(proxy.get("/who")[2])["name"] for _ in range(6)} == {server, other}


def test_an_unwell_host_gets_no_traffic(proxy: Proxy, load: Load) -> None:
    server, other = scratch.names("fleet")[:2]
    scratch.sh(server, f"touch {scratch.FOLDER}/sick")
    try:
        scratch.until(lambda: not proxy.up(server))
        assert {json.loads(proxy.get("/who")[2])["name"] for _ in range(6)} == {other}
    finally:
        scratch.sh(server, f"rm {scratch.FOLDER}/sick")
    scratch.until(lambda: proxy.up(server))


def test_a_host_that_vanishes_loses_what_it_held_and_nothing_else(proxy: Proxy, load: Load) -> None:
    server = scratch.names("fleet")[0]
    before = len(load.records)
    with load.window("power cut"):
        scratch.machines().cut_off(server, 8)
        out = scratch.until(lambda: not proxy.up(server))
        scratch.until(lambda: proxy.up(server), seconds=20)
    lost = [record for record in load.records[before:] if record.lost]
    assert out < 3, "the brief look at the socket included"
    # Those in flight began before the host was gone, which happened within a moment of the first of them.
    begin = min((record.started for record in lost), default=0.0)
    assert all(record.started < begin + 0.3 for record in lost), [
        (record.what, record.lost, record.started - begin, record.ended - begin) for record in lost
    ]
    assert all(record.ended < record.started + 6 for record in lost)
    assert len(lost) <= load.clients


def test_in_the_end_no_write_is_missing_or_twice(load: Load) -> None:
    load.end()
    wrong = [record.lost for record in load.records if record.key and record.lost]
    assert not [words for words in wrong if "absent" in words or "times" in words]


CERTBOT = """#!/bin/sh
# Stands for certbot and the public authority that it asks: has a certificate, and hands it over as certbot does.
set -eu
while [ "$#" -gt 0 ]; do
    case $1 in --cert-name) name=$2 ;; --deploy-hook) hook=$2 ;; --domain) domain=$2 ;; esac
    shift
done
test -s "/etc/haproxy/certs/$name.pem" # the stand-in: without any, HAProxy cannot hand the questions on
live=/etc/letsencrypt/live/$name
mkdir -p "$live"
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=$domain" \\
    -keyout "$live/privkey.pem" -out "$live/fullchain.pem"
RENEWED_LINEAGE=$live "$hook"
"""
SHOWN = "openssl s_client -connect {}:443 -servername bot.example.org </dev/null 2>/dev/null"


def test_a_certificate_of_certbots_takes_the_place_of_the_stand_in(proxy: Proxy) -> None:
    bot = {"name": "bot", "port": scratch.PORT, "health": {"ready": "/readyz"}}
    scratch.machines().write(proxy.host, "/usr/local/bin/certbot", CERTBOT)
    scratch.sh(proxy.host, "chmod 755 /usr/local/bin/certbot")
    told = {
        "haproxy_names": ["bot.example.org"],
        "haproxy_certificate": "",
        "haproxy_acme_email": "a@example.org",
    }
    try:
        done = proxy.apply(rollout_facts=bot, **told)
        assert done.status == 0, done.output
        shown = SHOWN.format(proxy.address)
        scratch.until(lambda: "bot.example.org" in scratch.machines().sh(proxy.host, shown, check=False))
    finally:
        gone = "/usr/local/bin/certbot /etc/letsencrypt/live/bot /etc/haproxy/conf.d/bot.* /etc/haproxy/certs/bot.pem"
        scratch.sh(proxy.host, f"rm -r {gone}")
        assert proxy.apply().status == 0
