"""What runs with a release's Python: reaches its database, and ends with one line whatever goes wrong.

The working directory is the release's application folder, the settings are its own: so each connection is as the
release itself makes it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

import django
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import connection

ENDS = {signal.SIGINT, signal.SIGTERM}
interrupted_at = 0.0  # monotonic seconds


class CannotError(Exception):
    """The reason and the remedy, in one line."""


def connect() -> None:
    """Reach the database. :raises CannotError: the driver does not understand what DATABASE_URL says."""
    try:
        connection.ensure_connection()
    except (AttributeError, LookupError, TypeError, ValueError, django.db.ProgrammingError) as error:
        why = f"the driver does not understand DATABASE_URL ({first_line(error)})"
        raise CannotError(f"{why}; look at the options behind its ?") from error


def first_line(error: Exception) -> str:
    """What went wrong, without the lines in which PostgreSQL shows the whole row."""
    text = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
    return next(iter(text.splitlines()), type(error).__name__)


def line_of(error: Exception) -> str:
    """What went wrong, in one line with a remedy."""
    if isinstance(error, OSError):
        return (
            f"{error.strerror or error} ({error.filename or 'no file'}); mend that and run the command again"
        )
    if isinstance(error, (django.db.OperationalError, django.db.InterfaceError)):
        return f"{' '.join(str(error).split())}; look at DATABASE_URL and the password beside it"
    if isinstance(error, django.db.Error):
        return f"{first_line(error)}; look whether this release migrated it, and what its user may do"
    return " ".join(str(error).split())


def _interrupt(*_: Any) -> None:
    """A terminal tells database.py too, which tells this process again: that does not interrupt what cleans up."""
    global interrupted_at
    before, interrupted_at = interrupted_at, monotonic()
    if interrupted_at - before > 1:
        raise KeyboardInterrupt


def command(main: Callable[[list[str]], None]) -> None:
    """Do what the process's words say, in the application of its working directory; what goes wrong is one line."""
    sys.path[0] = os.getcwd()
    for each in ENDS:
        signal.signal(each, _interrupt)
    try:
        # Not while modules are imported, as since database.py started this: what they swallow would be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        django.setup()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
        main(sys.argv[1:])
    except (
        CannotError,
        ImportError,
        ImproperlyConfigured,
        OSError,
        django.db.Error,
    ) as error:
        sys.exit(f"error: {line_of(error)}")
    except KeyboardInterrupt:
        print(
            "error: interrupted; nothing of it is left, run the command again when you like", file=sys.stderr
        )
        sys.exit(130)
