"""What this instance says of itself. A database that is away is not its fault and takes no instance out."""

import threading
from time import monotonic

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

LOOK_AGAIN = 1.0  # seconds between two looks at the migrations


class _State:
    """Of this process. `migrated` stays true: a process that has started on its schema keeps it."""

    draining = False
    migrated = False
    looked = -LOOK_AGAIN
    reason = "starting"
    lock = threading.Lock()


def drain() -> None:
    """Say from now on that this instance takes no new work."""
    _State.draining = True


def livez(request: HttpRequest) -> HttpResponse:
    """`GET /livez`: 200 as long as this process answers at all."""
    return HttpResponse("alive\n", "text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """`GET /readyz`: 200, or 503 while this instance starts, drains, or waits for migrations."""
    reason = "draining" if _State.draining else _waits_for()
    response = HttpResponse(f"{reason or 'ready'}\n", "text/plain", status=503 if reason else 200)
    response.headers["Cache-Control"] = "no-store"
    return response


def version(request: HttpRequest) -> HttpResponse:
    """`GET /version`: which release answers, and where."""
    env = settings.ENV
    return JsonResponse(
        {"version": env.release_version, "commit": env.release_commit, "environment": env.name},
        headers={"Cache-Control": "no-store"},
    )


def _waits_for() -> str:
    """Return what keeps this instance from serving, or nothing; look until the schema fits, then never."""
    if _State.migrated:
        return ""
    with _State.lock:
        if monotonic() - _State.looked >= LOOK_AGAIN:
            _State.reason = _pending()
            _State.migrated = not _State.reason
            _State.looked = monotonic()
    return _State.reason


def _pending() -> str:
    connection = connections[DEFAULT_DB_ALIAS]
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except InconsistentMigrationHistory as error:
        return f"migrations: {error}"
    except DatabaseError:
        return "starting: the schema could not be looked at yet"
    return f"migrations pending: {len(plan)}" if plan else ""
