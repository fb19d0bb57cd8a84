"""What scripts/db does: finds the release that serves and has its Python do it, by tables.py and server.py.

    database.py shell | dump FILE | load FILE [URL] | copy URL | indexes | slow

Started by scripts/db, whose --help says what each does and what the environment tells.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qs, urlsplit

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT / "playbooks/plugins/module_utils"))

from rollout.errors import RolloutError, last_words, line_of  # noqa: E402
from rollout.place import Place  # noqa: E402

TABLES = str(CHECKOUT / "scripts/tables.py")
SERVER = str(CHECKOUT / "scripts/server.py")
PASSWORD_OF = {"sqlite": "", "postgres": "PGPASSWORD", "postgresql": "PGPASSWORD", "mysql": "MYSQL_PWD"}
ENDS = {signal.SIGINT, signal.SIGTERM}
SAYS_A_PASSWORD = {"password", "passwd", "passphrase", "sslpassword"}


@dataclass(frozen=True)
class Release:
    """The release that serves: its application's folder, what it is told, and how it migrates."""

    app: Path
    told: dict[str, str]
    migrate: str

    def become(self, *words: str) -> NoReturn:
        """Be the release's Python from here on, so that whoever ends this process ends that one."""
        os.chdir(self.app)
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        os.execvpe("python", ("python", *words), self.told)  # noqa: S606 - found on the release's own PATH

    def run(self, *words: str, told: dict[str, str], quiet: bool = False) -> None:
        """Run tables.py; end with its status when it fails, for it has said why.

        It starts with the signals blocked that end it, and lets them through once it can say so in a line.
        """
        out = subprocess.DEVNULL if quiet else None
        command = ("python", TABLES, *words)
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
        with subprocess.Popen(command, cwd=self.app, env=told, stdout=out, close_fds=False) as child:
            try:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
                status = child.wait()
            except KeyboardInterrupt:
                child.terminate()
                child.wait()
                sys.exit(130)
        if status < 0:
            raise RolloutError(f"{words[0]} was ended by signal {-status}", "run the command again")
        if status:
            sys.exit(status)

    def fill(self, file: Path, told: dict[str, str]) -> None:
        """Make the tables of another, empty database and load a dump into it."""
        done = subprocess.run(
            ["/bin/sh", "-c", self.migrate], cwd=self.app, env=told, capture_output=True, text=True
        )
        if done.returncode:
            lines = (done.stderr.strip() or done.stdout.strip() or "nothing was said").splitlines()
            raise RolloutError(
                f"the target cannot be migrated: {last_words(lines)}", "mend that and give an empty database"
            )
        self.run("load", str(file), told=told)

    def elsewhere(self, url: str) -> dict[str, str]:
        """What the release is told when its database is another. Its own passwords stay here.

        :raises RolloutError: the URL cannot be followed. It is not repeated: it may hold a password.
        """
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            raise RolloutError(
                "the URL cannot be understood", "write it as postgres://user@host:port/name"
            ) from None
        if parts.scheme not in PASSWORD_OF:
            raise RolloutError(
                f"a URL of {parts.scheme or 'no scheme'} names no database that is supported",
                "give sqlite:///, postgres:// or mysql://",
            )
        if not parts.path.strip("/"):
            raise RolloutError("the URL names no database", "write its name behind the third slash")
        name = PASSWORD_OF[parts.scheme]
        if parts.password is not None or SAYS_A_PASSWORD & parse_qs(parts.query).keys():
            raise RolloutError(
                "a URL with a password would show it in process lists",
                f"give the password as {name}, or in a file that {name}_FILE names",
            )
        told = {key: value for key, value in self.told.items() if key not in PASSWORD_OF.values()}
        if name and (file := os.environ.get(f"{name}_FILE")):
            told[name] = Path(file).read_text().rstrip("\n")
        elif name and os.environ.get(name):
            told[name] = os.environ[name]
        return told | {"DATABASE_URL": url}


def serving(environment: str) -> Release:
    """The release that serves here, with its settings.

    :raises RolloutError: none does.
    """
    place = Place(Path(os.environ.get("ROLLOUT_ROOT") or CHECKOUT / ".run" / environment).absolute())
    if not place.current:
        raise RolloutError(f"no release serves in {place.root}", "run `make up`")
    version = place.current["version"]
    told = place.settings(place.root / "slots" / place.serving / "env")
    told = place.environment(version, told, environment)
    return Release(place.release(version) / "app", told, place.service(version).migrate)


def act(release: Release, words: list[str], dry: str) -> None:
    """Do one of the things that the help lists; where `dry` is not empty, print that instead."""
    file = Path(words[1]).absolute() if words[0] in ("dump", "load") else None
    elsewhere = words[0] == "copy" or len(words) > 2
    told = release.elsewhere(words[-1]) if elsewhere else release.told
    if words[0] == "load" and file and not file.is_file():
        raise RolloutError(f"there is no file {file}", "`scripts/db dump FILE` makes one")
    if words[0] == "dump" and file and (file.is_dir() or not file.parent.is_dir()):
        raise RolloutError(f"{file} cannot be written", "name a file in a folder that exists")
    if dry:
        print(dry)
    elif words[0] == "copy":
        copy(release, told)
    elif file and elsewhere:
        release.run("check", str(file), told=told)
        release.fill(file, told)
    else:
        release.become(*([TABLES, words[0], str(file)] if file else [SERVER, words[0]]))


def copy(release: Release, told: dict[str, str]) -> None:
    """By way of a dump, so that neither database waits for the other, and nothing but a whole one is loaded."""
    release.run("check", told=told)
    with tempfile.TemporaryFile() as nameless:  # whatever ends this, nothing of it stays
        os.set_inheritable(nameless.fileno(), True)
        file = Path(f"/dev/fd/{nameless.fileno()}")
        release.run("dump", str(file), told=release.told, quiet=True)
        release.fill(file, told)


def main(words: list[str]) -> int:
    environment = os.environ.get("ENV") or "dev"
    dry = f"would {' '.join(words)}, in the environment {environment}" if os.environ.get("DRY_RUN") else ""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)  # scripts/db blocks them while this one starts
        act(serving(environment), words, dry)
    except (RolloutError, OSError) as error:
        print(f"error: {line_of(error, 'of this machine')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run the command again when you like", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
