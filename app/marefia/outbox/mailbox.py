"""`/mailbox/`: mails that left as files (MAIL_URL=file:///name), so that a person can read them without a mail server.

There in the environment dev only. One reads one's own; staff, who may help with a forgotten password, all.
"""

import email
import email.policy
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.utils import getaddresses, mktime_tz, parsedate_tz
from functools import wraps
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.timezone import localtime
from django.views.decorators.http import require_safe

MOST_FILES = 500  # the newest ones are looked into
MOST_SHOWN = 50
MOST_BYTES = 1_000_000  # of a file
NAME = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]+\.log")  # what Django's file backend calls its files
BETWEEN = b"\n" + b"-" * 79 + b"\n"  # and ends each mail with
BROKEN = (AttributeError, LookupError, MessageError, OSError, OverflowError, TypeError, ValueError)
"""What the standard library raises for mails that are none: there is no one class for it."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as text; `number` counts those of its file, from 0."""

    file: str
    number: int
    subject: str
    sender: str
    to: str
    sent_at: datetime
    text: str


def with_mailbox(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Answer 404 where there is no mailbox, and ask who reads."""
    guarded = login_required(view)

    @wraps(view)
    def found(request: HttpRequest, **kwargs: object) -> HttpResponse:
        if settings.ENV.name != "dev" or not settings.EMAIL_FILE_PATH:
            raise Http404
        return guarded(request, **kwargs)

    return found


@with_mailbox
@require_safe
def mails(request: HttpRequest) -> HttpResponse:
    """`GET /mailbox/`: the newest first."""
    return render(request, "outbox/mailbox.html", {"mails": list(islice(_readable(request), MOST_SHOWN))})


@with_mailbox
@require_safe
def mail(request: HttpRequest, file: str, number: int) -> HttpResponse:
    """`GET /mailbox/<file>/<number>/`: one of them."""
    for found in _readable(request):
        if (found.file, found.number) == (file, number):
            return render(request, "outbox/mail.html", {"mail": found})
    raise Http404


def read(folder: Path) -> Iterator[Mail]:
    """Yield the mails of a folder, the newest first; what is no file of it or no mail is passed over."""
    for name in _newest(folder):
        for number, raw in reversed(list(enumerate(_parts(folder / name)))):
            with suppress(*BROKEN):
                yield _parse(name, number, raw)


def _newest(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        files = [
            file for file in entries if NAME.fullmatch(file.name) and file.is_file(follow_symlinks=False)
        ]
    newest = sorted(files, key=lambda file: (file.stat().st_mtime_ns, file.name), reverse=True)
    return [file.name for file in newest[:MOST_FILES]]


def _parts(path: Path) -> list[bytes]:
    with suppress(OSError), path.open("rb") as file:
        return file.read(MOST_BYTES).split(BETWEEN)
    return []


def _readable(request: HttpRequest) -> Iterator[Mail]:
    user = request.user
    for found in read(Path(settings.EMAIL_FILE_PATH)):
        to = {address.lower() for _, address in getaddresses([found.to])}
        if user.is_authenticated and (user.is_staff or user.email in to):
            yield found


def _parse(file: str, number: int, raw: bytes) -> Mail:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    body = message.get_body(("plain",))
    return Mail(
        file=file,
        number=number,
        subject=_clean(message["Subject"] or ""),
        sender=_clean(message["From"]),
        to=_clean(message["To"]),
        sent_at=localtime(datetime.fromtimestamp(mktime_tz(parsedate_tz(message["Date"])), UTC)),
        text=_clean(body.get_content()) if body else "",
    )


def _clean(text: str) -> str:
    """Return what can be encoded."""
    return str(text).encode(errors="replace").decode()
