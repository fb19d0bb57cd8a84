"""What whoever runs the service sees: health, version, metrics, logs, request ids, static files."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.test import Client, RequestFactory
from django.utils import timezone
from knox.models import AuthToken

from marefia import wsgi
from marefia.accounts.models import User
from marefia.ops import health, metrics, static, work
from marefia.outbox.models import OutboxRow, Status
from marefia.stays.models import Booking, Listing, Review
from tests.app import make
from tests.app.service import Service


@pytest.fixture(autouse=True)
def fresh_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a process does."""
    for name, value in (("draining", False), ("migrated", False), ("looked", -1e9)):
        monkeypatch.setattr(health._State, name, value)


@pytest.mark.django_db
def test_an_instance_on_its_schema_is_ready_and_looks_at_it_once(
    client: Client, django_assert_num_queries: Any
) -> None:
    assert client.get("/readyz").status_code == 200
    with django_assert_num_queries(0):
        assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_an_instance_with_migrations_pending_is_not_ready_until_they_are_applied(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'ops'")
    response = client.get("/readyz")
    assert (response.status_code, response.content) == (503, b"migrations pending: 1\n")
    call_command("migrate", "ops", fake=True, verbosity=0)
    assert client.get("/readyz").status_code == 503  # looked a moment ago
    monkeypatch.setattr(health, "LOOK_AGAIN", 0)
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_a_schema_of_a_later_release_serves_an_earlier_one(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('ops', '0999_next', '2026-01-01')"
        )
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("error", "words"),
    [(OperationalError("away"), b"starting"), (InconsistentMigrationHistory("mixed up"), b"mixed up")],
)
def test_an_instance_that_cannot_tell_whether_its_schema_is_there_is_starting(
    error: Exception, words: bytes, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(health, "MigrationExecutor", fail)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert words in response.content


def test_a_database_that_is_away_takes_no_instance_out(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health._State, "migrated", True)

    def away(_: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(type(connections["default"]), "ensure_connection", away)
    assert client.get("/readyz").status_code == 200
    assert client.get("/livez").status_code == 200


def test_a_draining_instance_lives_but_is_not_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health._State, "migrated", True)
    health.drain()
    assert (client.get("/readyz").status_code, client.get("/readyz").content) == (503, b"draining\n")
    assert client.get("/livez").status_code == 200


def test_the_version_says_which_release_answers(client: Client) -> None:
    told = {"version": "20260101-abc", "commit": "abc", "environment": "dev"}
    assert client.get("/version").json() == told


@pytest.mark.parametrize("url", ["/", "/admin/"])
def test_a_page_that_needs_a_database_that_is_away_says_503_and_counts_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OperationalError("unable to open database file")

    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "x" * 32
    count = re.compile(r"^marefia_database_away_total (\S+)", re.M)
    before = count.search(client.get("/metrics").content.decode())
    monkeypatch.setattr(type(connections["default"]), "ensure_connection", lambda _: away())
    response = client.get(url)
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    after = count.search(client.get("/metrics").content.decode())
    assert before
    assert after
    assert float(after[1]) == float(before[1]) + 1


def test_a_database_that_goes_away_outside_of_views_is_a_503_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr("django.contrib.sessions.middleware.SessionMiddleware.process_request", away)
    assert Client(raise_request_exception=False).get("/").status_code == 503


@pytest.mark.parametrize("url", ["/version", "/api/docs"])
def test_a_fault_of_ours_is_a_500_in_the_form_the_client_reads(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("django.middleware.common.CommonMiddleware.process_request", fail)
    response = Client(raise_request_exception=False).get(url)
    assert response.status_code == 500
    assert ("problem+json" in response["Content-Type"]) == url.startswith("/api")


@pytest.fixture
def lines() -> Iterator[Any]:
    """What is logged as JSON, parsed."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.getLogger().handlers[0].formatter)
    stdout = next(one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler)
    handler.setFormatter(stdout.formatter)
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)


def test_a_request_is_one_line_of_json_with_the_id_that_the_client_gets(client: Client, lines: Any) -> None:
    response = client.get("/version?secret=1")
    (line,) = [line for line in lines() if line.get("request")]
    assert line["request_id"] == response["X-Request-ID"]
    assert (line["request"], line["code"]) == ("GET /version", 200)
    assert line["milliseconds"] >= 0


@pytest.mark.parametrize(
    ("sent", "kept"), [("client-id.0001", True), ("short", False), ("x" * 65, False), ("bad id\n{}", False)]
)
def test_a_request_id_of_the_client_is_kept_when_it_is_well_formed(
    sent: str, kept: bool, client: Client
) -> None:
    answered = client.get("/version", headers={"X-Request-ID": sent})["X-Request-ID"]
    assert (answered == sent) is kept
    assert len(answered) >= 14


@pytest.mark.django_db
def test_the_link_that_resets_a_password_is_not_logged(client: Client, lines: Any) -> None:
    client.get("/accounts/reset/MQ/abc-secret/")
    assert "abc-secret" not in json.dumps(lines())


def test_machines_that_ask_every_second_are_neither_logged_nor_counted(client: Client, lines: Any) -> None:
    client.get("/livez")
    assert lines() == []
    assert 'view="livez"' not in client.get("/metrics").content.decode()


def test_an_exception_is_one_line_too(lines: Any) -> None:
    logging.getLogger("elsewhere").error("it %s", "broke", exc_info=ZeroDivisionError("no"))
    (line,) = lines()
    assert line["event"] == "it broke"
    assert "ZeroDivisionError" in line["exception"]


def test_requests_are_counted_by_view_method_and_status(client: Client) -> None:
    client.get("/version")
    client.generic("BREW", "/nowhere")
    page = client.get("/metrics").content.decode()
    assert 'marefia_requests_total{method="GET",status="200",view="version"}' in page
    assert 'marefia_requests_total{method="other",status="404",view="none"}' in page
    assert "marefia_request_seconds_bucket" in page


# -- static files


@pytest.fixture
def shared(tmp_path: Path, settings: Any) -> Path:
    settings.STATIC_SHARED = tmp_path / "shared"
    (settings.STATIC_SHARED / "css").mkdir(parents=True)
    return tmp_path / "shared"


def test_a_page_of_another_release_gets_its_files(db: None, client: Client, shared: Path) -> None:
    assert client.get("/static/css/site.0123456789ab.css").status_code == 404
    (shared / "css/site.0123456789ab.css").write_text("b{}")  # while this process runs
    response = client.get("/static/css/site.0123456789ab.css")
    assert b"".join(response) == b"b{}"
    response.close()
    assert response["Content-Type"] == "text/css"
    assert "immutable" in response["Cache-Control"]


@pytest.mark.parametrize(
    "path",
    [
        "css/site.css",
        "../secret.0123456789ab.txt",
        "%2e%2e/secret.0123456789ab.txt",
        "css/",
        "//etc/passwd",
        "%00",
    ],
)
def test_of_the_shared_folder_only_hashed_files_below_it_are_served(
    path: str, client: Client, shared: Path
) -> None:
    (shared / "css/site.css").write_text("plain names change their content")
    (shared.parent / "secret.0123456789ab.txt").write_text("not below")
    assert client.get(f"/static/{path}").status_code == 404


def test_the_manifest_has_the_same_bytes_in_whatever_order_files_are_found(tmp_path: Path) -> None:
    manifests = []
    for order in (("b.css", "a.css"), ("a.css", "b.css")):
        storage = static.Storage(location=str(tmp_path / order[0]), base_url="/static/")
        storage.hashed_files = {name: f"{name}.0123456789ab" for name in order}
        storage.save_manifest()
        manifests.append((tmp_path / order[0] / "staticfiles.json").read_bytes())
    assert manifests[0] == manifests[1]


def test_static_files_collected_twice_elsewhere_are_the_same_bytes(tmp_path: Path) -> None:
    collected = []
    for name in ("one", "two"):
        service = Service(tmp_path / name)
        service.manage("collectstatic", "--noinput")
        root = Path(service.env["STATIC_ROOT"])
        collected.append(
            {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        )
    assert collected[0] == collected[1]
    manifest = json.loads(collected[0][Path("staticfiles.json")])
    assert Path(manifest["paths"]["marefia/site.css"]) in collected[0]
    assert not [path for path in collected[0] if path.suffix in {".gz", ".br"}]


# -- what runs in the background, and the demo


@pytest.mark.django_db
def test_cleaning_up_deletes_what_has_expired_and_keeps_the_rest() -> None:
    now, week = timezone.now(), work.KEEP_DONE
    user = make.user()
    for age in (-week, week):
        AuthToken.objects.create(user, expiry=age)
        Session.objects.create(session_key=f"s{age.days}", session_data="", expire_date=now + age)
        for status in (Status.DONE, Status.DEAD):
            OutboxRow.objects.create(handler="t", payload={}, status=status, done_at=now - week + age / 2)
    work.clean_up(OutboxRow())
    assert AuthToken.objects.count() == Session.objects.count() == 1
    assert OutboxRow.objects.filter(status=Status.DONE).count() == 1
    assert OutboxRow.objects.filter(status=Status.DEAD).count() == 2


@pytest.mark.django_db
def test_the_demo_is_loaded_once_and_its_users_can_log_in(client: Client) -> None:
    for _ in range(2):
        call_command("demo", stdout=io.StringIO())
    assert User.objects.count() == 12
    assert Listing.objects.count() == 30
    assert Review.objects.exists()
    for name in ("admin", "host3", "guest8"):
        assert client.login(
            username=f"{name}@example.org",
            password="marefia-demo",  # pragma: allowlist secret
        )  # pragma: allowlist secret
    for place in Listing.objects.all():
        assert place.nights_booked == sum(booking.nights for booking in Booking.objects.filter(listing=place))


@pytest.mark.django_db
def test_the_demo_is_refused_outside_of_dev(settings: Any) -> None:
    import dataclasses

    settings.ENV = dataclasses.replace(settings.ENV, name="production")
    with pytest.raises(CommandError, match="dev"):
        call_command("demo")
    assert not User.objects.exists()


@pytest.mark.django_db
def test_every_change_of_a_model_has_its_migration() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_a_request_that_cannot_be_counted_is_answered(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(metrics.REQUESTS, "labels", no_room)
    assert client.get("/version").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("charset", ["rot13", "zlib", "undefined", "nothing", "\udcff", "utf-8", "idna", ""])
def test_no_charset_stops_a_request_before_its_view(charset: str, rf: RequestFactory) -> None:
    environ = rf.get("/livez?a=1").environ | {"CONTENT_TYPE": f"text/plain; charset={charset}"}
    statuses: list[str] = []
    b"".join(wsgi.application(environ, lambda status, _: statuses.append(status)))
    assert statuses == ["200 OK"]
