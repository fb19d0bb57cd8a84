"""The schema's side of a rollout: judge the migrations, copy the database, apply them.

Where a rollout is root (on hosts), commands of a release run as the user who owns the environment's data.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import RolloutError, last_words
from .files import locked, read_json, sha256, write_atomically, write_json
from .place import Place

if TYPE_CHECKING:
    # Ansible sends along what it sees imported.
    from ansible.module_utils import migration_judge, migration_lock  # noqa: F401

BACKUPS_KEPT = 3
JUDGE, LOCK = "migration_judge.py", "migration_lock.py"
PROBLEMS = ("conflicts", "model_changes", "refused")
POSTGRESQL, MARIADB = "postgresql", "mysql"  # as Django names the vendors; MySQL is MariaDB to it
FAILED = {
    POSTGRESQL: "the migration failed and was undone by its transaction",
    MARIADB: "the migration failed; what went before it in the same rollout stays applied",
}
LOCK_TIMEOUT_SECONDS = 5  # for a table: whoever waits for it longer than that keeps all others waiting behind
STILL_LOCKED = 75  # migration_lock.py's exit status
VACUUM = """
import contextlib, sqlite3, sys
with contextlib.closing(sqlite3.connect(sys.argv[1], timeout=60)) as database:
    database.execute("VACUUM INTO ?", (sys.argv[2],))
"""


def shipped(place: Place, name: str) -> Path:
    """Put a script's own text into a file: it runs in the release's Python, which knows nothing of Ansible."""
    script = place.root / "run" / name
    script.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(script, text_of(name))
    return script


def text_of(name: str) -> str:
    """The text of a script that runs inside of a release, from a folder or from the archive that Ansible sends."""
    loader = globals()["__spec__"].loader
    return str(loader.get_data(str(Path(__file__).parents[1] / name)).decode())


def judge_script(place: Place) -> Path:
    """The judge, ready to run."""
    return shipped(place, JUDGE)


def as_owner(place: Place) -> dict[str, Any]:
    """What makes a command of subprocess the service's own: as root, the user and group of the data folder."""
    stat = (place.root / "data").stat()
    if os.geteuid() or not stat.st_uid:
        return {}
    return {"user": stat.st_uid, "group": stat.st_gid, "extra_groups": []}


def in_release(
    place: Place, version: str, command: list[str], told: dict[str, str], seconds: float, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command as the release would: its folder, its Python, its settings."""
    environment = place.environment(version, told, told["ENVIRONMENT"])
    for folder in (environment["DATA_DIR"], environment["RUN_DIR"]):
        Path(folder).mkdir(parents=True, exist_ok=True)
    owner = as_owner(place)
    if owner:
        os.chown(environment["RUN_DIR"], owner["user"], owner["group"])
    try:
        return subprocess.run(
            command,
            cwd=place.release(version) / "app",
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            umask=0o077,
            **owner,
            **options,
        )
    except subprocess.TimeoutExpired as error:
        raise RolloutError(
            f"`{' '.join(command)[:80]}` of {version} did not end in {seconds:.0f} s",
            "mend what it waits for and deploy again",
        ) from error


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of complaint of a command that failed."""
    return last_words(
        (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()
    )


def judge(place: Place, script: Path, told: dict[str, str]) -> dict[str, Any]:
    """The verdict on the rollout under way, by the releases that are unpacked here."""
    new, current = (place.rollout or {})["version"], place.current or {}
    running = str(current.get("version", ""))
    its = place.settings(place.root / "slots" / place.serving / "env") if running else {}

    def settings(version: str) -> dict[str, str]:
        return its if version == running else told

    def needs(version: str) -> dict[str, Any]:
        return read_json(_needs(place, script, version, settings(version)))  # type: ignore[no-any-return]

    def ask(version: str, other: str, *options: str) -> dict[str, Any]:
        against = ["--needs", str(_needs(place, script, other, settings(other)))] if other else []
        return _ask(place, script, version, ["judge", *against, *options], settings(version))

    others = (path.name for path in (place.root / "releases").iterdir() if not path.name.startswith("."))
    return verdict(new, running, sorted(others, reverse=True), needs, ask)


def verdict(
    new: str,
    running: str,
    others: Iterable[str],
    needs: Callable[[str], dict[str, Any]],
    ask: Callable[..., dict[str, Any]],
) -> dict[str, Any]:
    """Whether the releases on either side of a rollout can live with each other's schema.

    The one that serves has to live with the migrations to come. The one to come has to live with those that were
    applied and that it does not know: a rollback, an older release, a commit that took a migration away.

    :param running: the version that serves, "" for none.
    :param others: versions that may know migrations which the one to come does not, likely ones first.
    :param needs: what the judge says a release needs of its database.
    :param ask: (version, other, *options): what the judge says inside a release about what another one needs.
    :returns: {"pending": [...], "overridden": [...], "vendor": of the database}
    :raises RolloutError: one cannot, or a migration is missing or conflicting; the text names the way out.
    """
    verdicts = [ask(new, running)]
    if running and verdicts[0]["unknown"]:
        verdicts += _judge_backwards(new, running, others, needs, ask, verdicts[0])
    problems = [problem for each in verdicts for kind in PROBLEMS for problem in each.get(kind, [])]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise RolloutError(_line(problems[0]) + more)
    return {
        "pending": verdicts[0].get("pending", []),
        "overridden": [_line(each) for each in verdicts[0].get("overridden", [])],
        "vendor": verdicts[0]["vendor"],
    }


def _needs(place: Place, script: Path, version: str, told: dict[str, str]) -> Path:
    """The file that says what a release needs of its database; made once per release and judge."""
    file = place.release(version) / f"needs-{sha256(script)[:16]}.json"
    if not file.exists():
        write_json(file, _ask(place, script, version, ["needs"], told))
    return file


def _judge_backwards(
    new: str,
    running: str,
    others: Iterable[str],
    needs: Callable[[str], dict[str, Any]],
    ask: Callable[..., dict[str, Any]],
    first: dict[str, Any],
) -> list[dict[str, Any]]:
    """Judge the applied migrations that the release to come does not know, by the releases that know them.

    What no release knows (long since squashed away, say) the running one lives with: whoever needs no column
    that it does not need lives with it too.

    :param first: the verdict of the release to come on its own migrations.
    """
    unknown = set(first["unknown"])
    verdicts = []
    for version in dict.fromkeys([running, *others]):
        try:
            known = unknown & {f"{app}.{name}" for app, name in needs(version)["migrations"]}
        except RolloutError:
            continue  # a release that cannot tell is no witness; the next one may be
        if known:
            verdicts.append(ask(version, new, "--rollback"))
            unknown -= known
    stands = needs(running)["tables"]
    beyond = [
        f"{table}.{column}"
        for table, columns in needs(new)["tables"].items()
        for column in columns
        if column not in stands.get(table, {})
    ]
    if not unknown or first["pending"] or not beyond:
        return verdicts
    raise RolloutError(
        f"{', '.join(sorted(unknown))} is applied; no release here knows if it left {beyond[0]}, which {new} needs",
        "deploy a release that has this migration (`make releases`)",
    )


def _line(problem: Any) -> str:
    return str(problem["line"]) if isinstance(problem, dict) else str(problem)


def _ask(
    place: Place, script: Path, version: str, arguments: list[str], told: dict[str, str]
) -> dict[str, Any]:
    done = in_release(place, version, ["python", str(script), *arguments], told, seconds=120)
    if done.returncode:
        raise RolloutError(
            f"the migrations of {version} cannot be judged: {complaint(done)}", "mend that and deploy again"
        )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def back_up(place: Place, version: str, number: int) -> list[str]:
    """Copy every SQLite file of the service's state before it is migrated; older copies are pruned by count."""
    made = []
    folder, owner = place.root / "backups", as_owner(place)
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner:
        os.chown(folder, owner["user"], owner["group"])
    for name in place.service(version).state:
        source = place.root / "data" / name
        if not source.exists():
            continue
        target = folder / f"{number:06}-{name}"
        partial = folder / f".{target.name}"
        for rest in folder.glob(f".*-{name}"):  # of a rollout that was killed meanwhile
            rest.unlink()
        # By a process of its own: root's would leave files beside the database that the service cannot open.
        done = subprocess.run(
            [sys.executable, "-c", VACUUM, str(source), str(partial)],
            capture_output=True,
            text=True,
            check=False,
            umask=0o077,
            **owner,
        )
        if done.returncode:
            partial.unlink(missing_ok=True)
            raise RolloutError(
                f"{source} cannot be copied to {folder}: {complaint(done)}",
                "free space there and deploy again",
            )
        partial.rename(target)
        made.append(target.name)
        for old in sorted(folder.glob(f"*-{name}"))[:-BACKUPS_KEPT]:
            old.unlink()
    return made


def migrate(place: Place, told: dict[str, str], seconds: float) -> float:
    """Apply the pending migrations, alone in the environment. Returns the seconds it took.

    The command inherits the lock, so that it is held as long as the command lives, whoever kills its parent. On
    a server so is a lock in the database, for other hosts; and no statement of the command waits or runs too long.
    """
    rollout = place.rollout or {}
    version, vendor = rollout["version"], rollout.get("vendor")
    server = vendor in (POSTGRESQL, MARIADB)
    command = ["/bin/sh", "-c", place.service(version).migrate]
    begin = time.monotonic()
    with locked(place.root / "migrate.lock", seconds, "a migration that still runs") as lock:
        if server:
            command = ["python", str(shipped(place, LOCK)), str(seconds / 2), *command]
        if vendor == POSTGRESQL:
            told = told | {"PGOPTIONS": f"{told.get('PGOPTIONS', '')} {limits(seconds)}".strip()}
        if vendor == MARIADB:
            told = told | {"MYSQL_SESSION": session(seconds)}
        done = in_release(place, version, command, told, seconds, pass_fds=(lock,))
    if server and done.returncode == STILL_LOCKED:
        raise RolloutError(
            f"the database is still locked after {seconds / 2:.0f} s by a migration that still runs",
            "wait for it, or end that process",
        )
    if done.returncode:
        raise RolloutError(
            f"{FAILED.get(str(vendor), FAILED[POSTGRESQL])}: {complaint(done)}",
            "mend the migration and deploy again",
        )
    return time.monotonic() - begin


def limits(seconds: float) -> str:
    """PGOPTIONS, which PostgreSQL's own library reads. A statement ends with the process that asked for it."""
    values = {
        "lock_timeout": LOCK_TIMEOUT_SECONDS * 1000,
        "statement_timeout": int(seconds * 1000),
        "client_connection_check_interval": 1000,
    }
    return " ".join(f"-c {name}={milliseconds}" for name, milliseconds in values.items())


def session(seconds: float) -> str:
    """MYSQL_SESSION, which a service of ours that supports MariaDB hands to SET. MySQL takes /*M! for a comment."""
    return f"lock_wait_timeout = {LOCK_TIMEOUT_SECONDS} /*M! , max_statement_time = {seconds} */"


def load_demo(place: Place, told: dict[str, str], seconds: float) -> bool:
    """Load the service's demo data. Returns whether it has any."""
    version = (place.rollout or {})["version"]
    command = place.service(version).demo
    if command and (done := in_release(place, version, ["/bin/sh", "-c", command], told, seconds)).returncode:
        raise RolloutError(
            f"the demo data could not be loaded: {complaint(done)}", "mend the demo command and deploy again"
        )
    return bool(command)
