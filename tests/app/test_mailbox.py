"""The mailbox of the environment dev: mails that left as files."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMessage, get_connection
from django.test import Client
from django.urls import reverse

from marefia.accounts.models import User
from marefia.outbox import mailbox
from tests.app import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    return tmp_path / "mail"


@pytest.fixture
def guest() -> User:
    return make.user(email="hana@example.org")


def send(
    folder: Path, subject: str, to: str = "hana@example.org", body: str = "Thank you.", at: int = 0
) -> Path:
    """Send a mail; return its file, which looks `at` seconds younger than it is."""
    before = {*folder.glob("*")}
    EmailMessage(subject, body, to=[to]).send()
    (file,) = {*folder.glob("*")} - before
    os.utime(file, (file.stat().st_mtime + at,) * 2)
    return file


def subjects(client: Client) -> list[str]:
    """What the mailbox lists."""
    return [mail.subject for mail in client.get("/mailbox/").context["mails"]]


def test_one_reads_the_own_mails_and_staff_all_the_newest_first(
    client: Client, guest: User, folder: Path
) -> None:
    assert mailbox.MOST_SHOWN > 3
    send(folder, "one", at=-20)
    send(folder, "two", to="Hana <HANA@example.org>", at=-10)
    other = reverse("mail", args=[send(folder, "not yours", to="other@example.org").name, 0])
    assert client.get("/mailbox/")["Location"].startswith("/accounts/login/")
    client.force_login(guest)
    assert subjects(client) == ["two", "one"]
    assert client.get(other).status_code == 404
    client.force_login(make.user(is_staff=True))
    assert subjects(client) == ["not yours", "two", "one"]
    assert "Thank you." in client.get(other).content.decode()


def test_a_receipt_and_a_link_can_be_read_offline(client: Client, guest: User, folder: Path) -> None:
    text = "ጤና ይስጥልኝ <b>שלום</b> 🙂\nhttp://testserver/accounts/reset/x/\n" + "-" * 78 + "\nend"
    file = send(folder, "Receipt: ቤት", body=text)
    client.force_login(guest)
    page = client.get(reverse("mail", args=[file.name, 0])).content.decode()
    assert "Receipt: ቤት" in page
    assert "ጤና ይስጥልኝ &lt;b&gt;שלום&lt;/b&gt; 🙂" in page
    assert '<a href="http://testserver/accounts/reset/x/"' in page
    assert "end</pre>" in page


def test_several_mails_of_one_file_are_several_mails(client: Client, guest: User, folder: Path) -> None:
    several = [EmailMessage(subject, "x", to=[guest.email]) for subject in ("first", "second")]
    get_connection().send_messages(several)
    client.force_login(guest)
    assert subjects(client) == ["second", "first"]
    (file,) = folder.iterdir()
    assert "<bdi>second</bdi>" in client.get(reverse("mail", args=[file.name, 1])).content.decode()
    assert client.get(reverse("mail", args=[file.name, 2])).status_code == 404


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\0\xff" * 1000,
        b"no header at all",
        b"Subject: no date\nTo: hana@example.org\n\nx",
        b"Subject: bad date\nTo: hana@example.org\nDate: soon\n\nx",
        b"Subject: late\nTo: hana@example.org\nDate: Fri, 31 Dec 9999 23:59:59 +0000\n\nx",
        b"Subject: charset\nDate: Mon, 30 Nov 2026 04:32:01 +0000\nContent-Type: text/plain; charset=no\n\nx",
        b"Date: Mon, 30 Nov 2026 04:32:01 +0000\nContent-Type: multipart/mixed\n\nx",
    ],
)
def test_what_is_no_mail_is_passed_over(broken: bytes, client: Client, guest: User, folder: Path) -> None:
    send(folder, "whole")
    (folder / "20261130-073201-1.log").write_bytes(broken)
    client.force_login(guest)
    assert subjects(client) == ["whole"]
    client.force_login(make.user(is_staff=True))
    assert "whole" in subjects(client)
    for mail in client.get("/mailbox/").context["mails"]:
        assert client.get(reverse("mail", args=[mail.file, mail.number])).status_code == 200


def test_nothing_but_mails_of_the_folder_is_read(client: Client, folder: Path) -> None:
    whole = send(folder, "whole").read_bytes()
    (folder.parent / "20261130-073201-2.log").write_bytes(whole)
    (folder / "secret.txt").write_bytes(whole)
    (folder / "20261130-073201-3.log").symlink_to(folder.parent / "20261130-073201-2.log")
    (folder / "20261130-073201-4.log").mkdir()
    (folder / os.fsdecode(b"20261130-\xff-5.log")).write_bytes(whole)
    client.force_login(make.user(is_staff=True))
    assert subjects(client) == ["whole"]
    for name in (
        "..%2F20261130-073201-2.log",
        "%2e%2e%5c20261130-073201-2.log",
        "%2Fetc%2Fpasswd",
        "secret.txt",
        "20261130-073201-3.log",
        "20261130-073201-4.log",
        "%00",
    ):
        assert client.get(f"/mailbox/{name}/0/").status_code == 404


def test_there_is_no_mailbox_outside_of_dev_nor_without_files(
    client: Client, folder: Path, settings: Any
) -> None:
    url = reverse("mail", args=[send(folder, "whole").name, 0])
    for user in (make.user(is_staff=True), None):
        if user:
            client.force_login(user)
        else:
            client.logout()
        for env, path in (("staging", str(folder)), ("production", str(folder)), ("dev", None)):
            settings.EMAIL_FILE_PATH = path
            settings.ENV = dataclasses.replace(settings.ENV, name=env)
            assert client.get("/mailbox/").status_code == client.get(url).status_code == 404


def test_a_folder_that_is_not_there_yet_is_an_empty_mailbox(
    client: Client, guest: User, folder: Path
) -> None:
    client.force_login(guest)
    assert "Nothing yet." in client.get("/mailbox/").content.decode()
