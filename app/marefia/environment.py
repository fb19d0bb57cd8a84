"""What the service is told: read once from the process's environment, typed, and refused when any is wrong.

There is no optional setting in `infra/environments/*.env` and no default here, so a misspelled name is
always a missing one. Run as a program (`python -m marefia.environment FILE...`) this checks such files.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from environs import Env, EnvValidationError, validate

STAGES = ("dev", "staging", "production")

# What stands in infra/environments/<environment>.env, all of it, the same names in each.
FILE_KEYS = {
    "ALLOWED_HOSTS": "names under which clients may ask, with commas between",
    "BROKER_URL": "Celery's broker, redis://host:port/number; filesystem://localhost: files in DATA_DIR",
    "CHAPA_URL": "who takes payments: https://api.chapa.co/v1, sandbox: (of the service, not in production) or nobody",
    "DATABASE_URL": "postgres:// or mysql://user@host:port/name?option=...; sqlite:///name is a file in DATA_DIR",
    "HTTPS": "whether clients come by TLS: cookies for TLS only, HSTS, and X-Forwarded-Proto is believed",
    "LOG_LEVEL": "DEBUG, INFO, WARNING or ERROR",
    "MAIL_FROM": "the sender of mails",
    "MAIL_URL": "how mail leaves; file:///name is a folder in DATA_DIR",
    "TRUSTED_ORIGINS": "origins (https://name) whose forms are accepted behind a proxy, with commas between",
    "WEB_LINGER_SECONDS": "seconds, 0 to 10, that a web serves on when it is told to stop",
    "WEB_THREADS": "threads of each web worker",
    "WEB_WORKERS": "web worker processes",
}
# What whoever starts the process adds.
PROCESS_KEYS = {
    "BROKER_PASSWORD": "of BROKER_URL; may be absent",  # pragma: allowlist secret
    "CHAPA_KEY": "of CHAPA_URL; may be absent: then nobody pays",  # pragma: allowlist secret
    "CHAPA_WEBHOOK_SECRET": "signs what Chapa sends; with CHAPA_KEY",  # pragma: allowlist secret
    "DATA_DIR": "what has to outlive a release: database, broker, mails, media",
    "ENVIRONMENT": "dev, staging or production",
    "MYSQL_PWD": "of a mysql:// DATABASE_URL; may be absent",  # pragma: allowlist secret
    "MYSQL_SESSION": "variables of each session with a mysql:// database, as SET takes them; may be absent",
    "PGPASSWORD": "of DATABASE_URL, read by PostgreSQL's own library; may be absent",  # pragma: allowlist secret
    "READY_FILE": "worker and scheduler touch it when they are ready; may be absent",
    "RELEASE_COMMIT": "what /version says",
    "RELEASE_VERSION": "what /version says",
    "RUN_DIR": "scratch, empty when the process starts",
    "SECRET_KEY": "signs sessions and links; 32 characters or more, never in a file in git",  # pragma: allowlist secret
    "STATIC_ROOT": "this release's collected static files",
    "STATIC_SHARED": "the hashed static files of all kept releases",
}
KEYS = FILE_KEYS.keys() | PROCESS_KEYS.keys()
OPTIONAL = {
    "BROKER_PASSWORD",
    "CHAPA_KEY",
    "CHAPA_WEBHOOK_SECRET",
    "MYSQL_PWD",
    "MYSQL_SESSION",
    "PGPASSWORD",
    "READY_FILE",
}


class BadEnvironmentError(Exception):
    """Every setting that is missing or malformed, in one line."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The settings of one process; paths are absolute."""

    name: str
    release_version: str
    release_commit: str
    secret_key: str
    data_dir: Path
    run_dir: Path
    static_root: Path
    static_shared: Path
    ready_file: Path | None
    allowed_hosts: tuple[str, ...]
    trusted_origins: tuple[str, ...]
    https: bool
    database: dict[str, Any]
    mysql_password: str = field(repr=False)
    mysql_session: str
    broker_url: str
    broker_password: str | None = field(repr=False)
    chapa_url: str
    chapa_key: str = field(repr=False)
    chapa_webhook_secret: str = field(repr=False)
    mail: dict[str, Any]
    mail_from: str
    log_level: str
    web_workers: int
    web_threads: int
    web_linger_seconds: int


def read(environ: Mapping[str, str] = os.environ) -> Environment:
    """Return the settings in `environ`; raise BadEnvironmentError that names all that is wrong with them."""
    env = _Source(environ)
    one_line = validate.Regexp(r"\A[^\r\n]+\Z", error="must be one line that is not empty")
    absolute = validate.Predicate("is_absolute", error="must be an absolute path")
    ready_file = env.path("READY_FILE", None)
    database_url = env.str(
        "DATABASE_URL", validate=_begins("(sqlite|postgres(ql)?|mysql)://", "sqlite, postgres or mysql")
    )
    mail_url = env.str(
        "MAIL_URL",
        validate=_begins(
            r"(file://|(smtps?|submission)://([^/@]*@)?[^/:@]+(:\d+)?(/|\?|\Z))",
            "file, or smtp, smtps or submission with a host",
        ),
    )
    values: dict[str, Any] = {
        "name": env.str("ENVIRONMENT", validate=validate.OneOf(STAGES)),
        "release_version": env.str("RELEASE_VERSION", validate=one_line),
        "release_commit": env.str("RELEASE_COMMIT", validate=one_line),
        "secret_key": env.str("SECRET_KEY", validate=validate.Length(min=32)),
        "data_dir": env.path("DATA_DIR", validate=absolute),
        "run_dir": env.path("RUN_DIR", validate=absolute),
        "static_root": env.path("STATIC_ROOT", validate=absolute),
        "static_shared": env.path("STATIC_SHARED", validate=absolute),
        "ready_file": ready_file,
        "allowed_hosts": tuple(env.list("ALLOWED_HOSTS", validate=validate.Length(min=1)) or ()),
        "trusted_origins": tuple(env.list("TRUSTED_ORIGINS") or ()),
        "https": env.bool("HTTPS"),
        "database": env.dj_db_url("DATABASE_URL") if database_url else {},
        "mysql_password": env.str("MYSQL_PWD", ""),
        "mysql_session": env.str("MYSQL_SESSION", ""),
        "broker_url": env.str(
            "BROKER_URL", validate=_begins("(rediss?|filesystem|memory)://", "redis, rediss or filesystem")
        ),
        "broker_password": env.str("BROKER_PASSWORD", None),
        "chapa_url": env.str(
            "CHAPA_URL",
            validate=validate.Regexp(
                r"(https?://[^/@]+/.*|sandbox:)?\Z", error="must be a URL, sandbox:, or empty"
            ),
        ),
        "chapa_key": env.str("CHAPA_KEY", ""),
        "chapa_webhook_secret": env.str("CHAPA_WEBHOOK_SECRET", ""),
        "mail": env.dj_email_url("MAIL_URL") if mail_url else {},
        "mail_from": env.str("MAIL_FROM", validate=one_line),
        "log_level": env.str("LOG_LEVEL", validate=validate.OneOf(("DEBUG", "INFO", "WARNING", "ERROR"))),
        "web_workers": env.int("WEB_WORKERS", validate=validate.Range(1, 64)),
        "web_threads": env.int("WEB_THREADS", validate=validate.Range(1, 64)),
        "web_linger_seconds": env.int("WEB_LINGER_SECONDS", validate=validate.Range(0, 10)),
    }
    faults = _faults_of(env)
    faults += _misfits(values)
    faults += [f"{key} is not a setting (did you mean {match}?)" for key, match in misspelled(environ)]
    if faults:
        raise BadEnvironmentError("; ".join(fault.rstrip(".") for fault in faults))
    return Environment(**values)


def read_or_exit() -> Environment:
    """Return the settings of this process, or end it with one line on stderr and status 1."""
    try:
        return read()
    except BadEnvironmentError as error:
        sys.exit(f"marefia: bad settings: {error} - correct the environment's file or secrets")


def misspelled(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the names in `environ` that are no setting but look like one, each with the one it looks like.

    A process has variables of its host's too, so not every unknown name can be refused.
    """
    unknown = sorted(set(environ) - KEYS)
    return [(key, match) for key in unknown for match in difflib.get_close_matches(key, KEYS, 1, 0.87)]


def check_file(text: str) -> list[str]:
    """Return what is wrong with an environment file: shape of its lines, names, values.

    Its readers (systemd, Compose, Kustomize, Ansible) differ in how they take quotes, `$` and outer blanks.
    """
    faults, values = [], {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(
            r"([A-Z][A-Z0-9_]*)=([^\s\"'$\\`#]?|[^\s\"'$\\`#][^\"'$\\`#]*[^\s\"'$\\`#])", line
        )
        if not match:
            faults.append(f"line {number}: not plain KEY=value")
        elif match[1] in values:
            faults.append(f"line {number}: {match[1]} stands there twice")
        elif match[1] not in FILE_KEYS:
            faults.append(f"line {number}: {match[1]} is not a setting of an environment file")
        else:
            values[match[1]] = match[2]
    process = dict.fromkeys(PROCESS_KEYS, "/") | {"ENVIRONMENT": "dev", "SECRET_KEY": "-" * 32}
    try:
        read(process | values)
    except BadEnvironmentError as error:
        faults.append(str(error))
    return faults


def _misfits(values: Mapping[str, Any]) -> list[str]:
    """What is well-formed and does not go together."""
    if values["chapa_url"] == "sandbox:" and values["name"] == "production":
        return ["CHAPA_URL: the sandbox is not for production"]
    if values["chapa_key"] and not values["chapa_webhook_secret"]:
        return ["CHAPA_WEBHOOK_SECRET: is missing, with CHAPA_KEY it is needed"]
    return []


def _begins(pattern: str, words: str) -> validate.Regexp:
    return validate.Regexp(pattern, error=f"must be a URL of {words}")


class _Source(Env):
    """environs over a given mapping, collecting faults; its own reads os.environ whatever it is given."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(eager=False)
        self._given = environ

    def _get_value(self, env_key: str, default: Any) -> Any:
        return self._given.get(env_key, default)


def _faults_of(env: Env) -> list[str]:
    try:
        env.seal()
    except EnvValidationError as error:
        messages = cast("Mapping[str, list[str]]", error.error_messages)
        return [f"{key}: {' '.join(map(str, why))}" for key, why in sorted(messages.items())]
    return []


def main(paths: Sequence[str]) -> int:
    """Check environment files; print a line for each fault and return 1 when there is any."""
    faults = [f"{path}: {fault}" for path in paths for fault in check_file(Path(path).read_text())]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
