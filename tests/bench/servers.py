"""The two servers of the comparison: the service with all its middleware, and a bare view; both gunicorn."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import yaml

REPOSITORY = Path(__file__).parents[2]
APP = REPOSITORY / "app"


def environment(folder: Path) -> dict[str, str]:
    """What a rollout would give the service's processes, in a folder of its own."""
    given = {
        "DATA_DIR": folder / "data",
        "RUN_DIR": folder / "run",
        "STATIC_ROOT": folder / "static",
        "STATIC_SHARED": folder / "shared",
        "HOME": folder / "home",
    }
    for path in given.values():
        path.mkdir(parents=True)
    lines = (REPOSITORY / "infra/environments/dev.env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {
        **settings,
        **{name: str(path) for name, path in given.items()},
        "ENVIRONMENT": "dev",
        "RELEASE_VERSION": "bench",
        "RELEASE_COMMIT": "0" * 40,
        "SECRET_KEY": "bench" * 12,
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
    }


def prepare(given: Mapping[str, str]) -> None:
    """Collect static files, migrate and load the demo data. Raises CalledProcessError."""
    facts = yaml.safe_load((REPOSITORY / "infra/service.yml").read_text())
    for step in ("static", "migrate", "demo"):
        subprocess.run(facts[step].split(), cwd=APP, env=dict(given), check=True, capture_output=True)


@contextmanager
def gunicorn(
    application: str, given: Mapping[str, str], folder: Path = APP, config: str = "gunicorn.conf.py"
) -> Iterator[tuple[str, int]]:
    """Serve; gives the base URL and the master's process id. The configuration is the service's own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url, log = f"http://127.0.0.1:{port}", Path(given["RUN_DIR"]) / f"{port}.log"
    command = ["gunicorn", "--config", config, "--bind", f"127.0.0.1:{port}", application]
    with log.open("wb") as output:
        master = subprocess.Popen(
            command, cwd=folder, env={**given, "PWD": str(folder)}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            await_answer(f"{url}/api/v1/listings", master, log)
            yield url, master.pid
        finally:
            master.terminate()
            master.wait(40)


def await_answer(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 30) -> None:
    """Return when the URL answers 200. Raises RuntimeError with the log when it does not in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.05)  # nothing to wait on: the port answers when it answers
    raise RuntimeError(f"{url} did not answer: {log.read_text()[-2000:]}")


def machine() -> str:
    """Processor, cores, memory and Python, in one line."""
    model = next(
        (
            line.partition(": ")[2]
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown processor",
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Python {sys.version.split()[0]}"
