"""The schema's side of a rollout: judge the migrations, copy the database, apply them."""

from __future__ import annotations

import json
import pkgutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import RolloutError
from .files import locked, read_env, read_json, sha256, write_atomically, write_json
from .place import Place

if TYPE_CHECKING:
    from ansible.module_utils import migration_judge  # noqa: F401  # Ansible sends along what it sees imported

BACKUPS_KEPT = 3
JUDGE = "migration_judge.py"
PROBLEMS = ("conflicts", "model_changes", "refused")


def judge_script(place: Place) -> Path:
    """Put the judge's own text into a file: it runs in the release's Python, which knows nothing of Ansible."""
    script = place.root / "run" / JUDGE
    script.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(script, (pkgutil.get_data("ansible.module_utils", JUDGE) or b"").decode())
    return script


def in_release(
    place: Place, version: str, command: list[str], told: dict[str, str], seconds: float, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command as the release would: its folder, its Python, its settings."""
    environment = place.environment(version, told, told["ENVIRONMENT"])
    for folder in (environment["RUN_DIR"], environment["DATA_DIR"]):
        Path(folder).mkdir(parents=True, exist_ok=True)
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
            **options,
        )
    except subprocess.TimeoutExpired as error:
        raise RolloutError(
            f"`{' '.join(command)[:80]}` of {version} did not end in {seconds:.0f} s",
            "mend what it waits for and deploy again",
        ) from error


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of complaint of a command that failed."""
    lines = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()
    return lines[-1].strip()


def judge(place: Place, script: Path, told: dict[str, str]) -> dict[str, Any]:
    """Ask whether the releases on either side of the rollout can live with each other's schema.

    The one that serves has to live with the migrations to come. The one to come has to live with those that were
    applied and that it does not know: a rollback, an older release, a commit that took a migration away.

    :returns: {"pending": [...], "overridden": [...]}
    :raises RolloutError: one cannot, or a migration is missing or conflicting; the text names the way out.
    """
    new, current = (place.rollout or {})["version"], place.current
    if not current:
        verdicts = [_ask(place, script, new, ["judge"], told)]
    else:
        running, its = current["version"], read_env(place.root / "slots" / place.serving / "env")
        stands = _needs(place, script, running, its)
        verdicts = [_ask(place, script, new, ["judge", "--needs", str(stands)], told)]
        if verdicts[0]["unknown"]:
            verdicts += _judge_backwards(place, script, told, its, verdicts[0])
    problems = [problem for verdict in verdicts for kind in PROBLEMS for problem in verdict.get(kind, [])]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise RolloutError(_line(problems[0]) + more)
    return {
        "pending": verdicts[0].get("pending", []),
        "overridden": [_line(each) for each in verdicts[0].get("overridden", [])],
    }


def _needs(place: Place, script: Path, version: str, told: dict[str, str]) -> Path:
    """The file that says what a release needs of its database; made once per release and judge."""
    file = place.release(version) / f"needs-{sha256(script)[:16]}.json"
    if not file.exists():
        write_json(file, _ask(place, script, version, ["needs"], told))
    return file


def _judge_backwards(
    place: Place, script: Path, told: dict[str, str], its: dict[str, str], verdict: dict[str, Any]
) -> list[dict[str, Any]]:
    """Judge the applied migrations that the release to come does not know, by the releases here that know them.

    What no release here knows (long since squashed away, say) the running one lives with: whoever needs no column
    that it does not need lives with it too.

    :param its: the running release's settings.
    :param verdict: of the release to come on its own migrations.
    """
    unknown = set(verdict["unknown"])
    new, running = (place.rollout or {})["version"], str((place.current or {})["version"])
    comes = _needs(place, script, new, told)
    others = sorted(
        path.name for path in (place.root / "releases").iterdir() if not path.name.startswith(".")
    )
    verdicts = []
    for version in dict.fromkeys([running, *reversed(others)]):
        settings = its if version == running else told
        try:
            known = unknown & _known(_needs(place, script, version, settings))
        except RolloutError:
            continue  # a release that cannot tell is no witness; the next one may be
        if known:
            verdicts.append(
                _ask(place, script, version, ["judge", "--needs", str(comes), "--rollback"], settings)
            )
            unknown -= known
    stands = read_json(_needs(place, script, running, its))["tables"]
    beyond = [
        f"{table}.{column}"
        for table, columns in read_json(comes)["tables"].items()
        for column in columns
        if column not in stands.get(table, {})
    ]
    if not unknown or verdict["pending"] or not beyond:
        return verdicts
    raise RolloutError(
        f"{', '.join(sorted(unknown))} is applied; no release here knows if it left {beyond[0]}, which {new} needs",
        "deploy a release that has this migration (`make releases`)",
    )


def _known(needs: Path) -> set[str]:
    return {f"{app}.{name}" for app, name in read_json(needs)["migrations"]}


def _line(problem: Any) -> str:
    return str(problem["line"]) if isinstance(problem, dict) else str(problem)


def _ask(
    place: Place, script: Path, version: str, arguments: list[str], told: dict[str, str]
) -> dict[str, Any]:
    done = in_release(place, version, ["python", str(script), *arguments], told, seconds=120)
    if done.returncode:
        raise RolloutError(
            f"the migrations of {version} cannot be judged: {last_words(done)}", "mend that and deploy again"
        )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def back_up(place: Place, version: str, number: int) -> list[str]:
    """Copy every SQLite file of the service's state before it is migrated; older copies are pruned by count."""
    made = []
    folder = place.root / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in place.service(version).state:
        source = place.root / "data" / name
        if not source.exists():
            continue
        target = folder / f"{number:06}-{name}"
        partial = folder / f".{target.name}"
        for rest in folder.glob(f".*-{name}"):  # of a rollout that was killed meanwhile
            rest.unlink()
        try:
            with closing(sqlite3.connect(source, timeout=60)) as database:
                database.execute("VACUUM INTO ?", (str(partial),))
        except sqlite3.Error as error:
            partial.unlink(missing_ok=True)
            raise RolloutError(
                f"{source} cannot be copied to {folder}: {error}", "free space there and deploy again"
            ) from error
        partial.rename(target)
        made.append(target.name)
        for old in sorted(folder.glob(f"*-{name}"))[:-BACKUPS_KEPT]:
            old.unlink()
    return made


def migrate(place: Place, told: dict[str, str], seconds: float) -> float:
    """Apply the pending migrations, alone in the environment. Returns the seconds it took.

    The command inherits the lock, so that it is held as long as the command lives, whoever kills its parent.
    """
    version = (place.rollout or {})["version"]
    begin = time.monotonic()
    with locked(place.root / "migrate.lock", seconds, "a migration that still runs") as lock:
        done = in_release(
            place, version, ["/bin/sh", "-c", place.service(version).migrate], told, seconds, pass_fds=(lock,)
        )
    if done.returncode:
        raise RolloutError(
            f"the migration failed and was undone by its transaction: {last_words(done)}",
            "mend the migration and deploy again",
        )
    return time.monotonic() - begin


def load_demo(place: Place, told: dict[str, str], seconds: float) -> bool:
    """Load the service's demo data. Returns whether it has any."""
    version = (place.rollout or {})["version"]
    command = place.service(version).demo
    if command and (done := in_release(place, version, ["/bin/sh", "-c", command], told, seconds)).returncode:
        raise RolloutError(
            f"the demo data could not be loaded: {last_words(done)}", "mend the demo command and deploy again"
        )
    return bool(command)
