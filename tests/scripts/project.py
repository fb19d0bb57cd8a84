"""A tiny project with the real scripts and a Makefile whose stages only leave a trace."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = ("scripts", "jenkins", ".github")
LENT = """\
#!/bin/sh
# Instead of scripts/venv: the Python of who runs the tests, in a folder of its own.
: "${VENV:=.venv}"
mkdir -p "$VENV/bin"
printf '#!/bin/sh\\nexec %s "$@"\\n' >"$VENV/bin/python"
chmod +x "$VENV/bin/python"
"""

MAKEFILE = """\
lint test build scan migrations deploy smoke rollback drill: ; @./stage $@
pipeline: ; @scripts/pipeline
"""

# What a stage does is said by files of the commit: `fails` names a stage that fails, `gate` one that waits
# until somebody opens the named pipe to write, `daemon` one that leaves a process behind, `loud` one that says more
# than a pipe holds.
STAGE = """\
#!/bin/sh
says() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
echo "$1 $(cat text)" >>"$ROLLOUT_ROOT/events"
env >"$ROLLOUT_ROOT/environment.$1"
echo "output of $1"
case $1 in
    test) mkdir -p .run/reports && echo '<testsuite><testcase name="one"/></testsuite>' >.run/reports/test.xml ;;
    build) mkdir -p .run/releases && cat text >.run/releases/release ;;
esac
# The process that is left behind: whoever tests that ends it, and nothing waits for it.
if says daemon "$1"; then sleep 300 & echo $! >"$ROLLOUT_ROOT/daemon"; fi
if says gate "$1"; then read _ <"$ROLLOUT_ROOT/pipe"; fi
if says loud "$1"; then seq 100000; fi
if says fails "$1"; then echo "broken: $(git log -1 --format=%s)"; exit 3; fi
"""


def clean_environment(**more: str) -> dict[str, str]:
    """What a person's shell holds, and what records shell coverage; nothing of an outer make or git."""
    kept = ("PATH", "HOME", "LANG", "BASH_ENV", "INFRA_COVERAGE_DIR")
    who = {f"GIT_{role}_{key}": "a@b.test" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return {key: os.environ[key] for key in kept if key in os.environ} | who | quiet | more


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Return once the condition holds; AssertionError after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class Project:
    """A git checkout under `folder`, its runtime state beside it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "checkout"
        self.state = folder / "state"
        self.bare = folder / "checkout.git"
        self.state.mkdir()
        self.environment = clean_environment(
            ENV="dev", PORT="1", ROLLOUT_ROOT=str(self.state), RELEASES=str(folder / "releases")
        )
        for name in PIPELINE:
            shutil.copytree(ROOT / name, self.path / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.write(
            {"infra/pipeline.yml": (ROOT / "infra/pipeline.yml").read_text(), "Makefile": MAKEFILE},
            {"stage": STAGE, "requirements/dev.txt": "a==1 --hash=sha256:0\n"},
            {"text": "first", ".gitignore": ".run/\n.venv\n"},
        )
        (self.path / "stage").chmod(0o755)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("first")

    def lend_python(self) -> None:
        """Let scripts/venv install nothing, for tests of what needs no more than a Python with this one's packages."""
        self.write({"scripts/venv": LENT % sys.executable})
        self.git("commit", "--quiet", "--all", "--amend", "--no-edit")

    def write(self, *files: Mapping[str, str]) -> None:
        for name, text in (item for group in files for item in group.items()):
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def run(
        self, *command: str, status: int | None = 0, given: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, which reads `given`; AssertionError unless it ends with `status` (None: whatever)."""
        done = subprocess.run(
            ("/usr/bin/env", "--default-signal=INT", *command),  # whoever runs the tests may be deaf to it
            cwd=self.path,
            env=self.environment | environment,
            text=True,
            input=given,
            capture_output=True,
            timeout=60,
        )
        assert status is None or done.returncode == status, done.stdout + done.stderr
        return done

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments).stdout.strip()

    def commit(self, text: str, **files: str) -> str:
        """Commit `text` (the stages leave it in their trace) and these files; the commit's hash."""
        self.write({"text": text}, files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", text)
        return self.git("rev-parse", "HEAD")

    @property
    def events(self) -> list[str]:
        """The stages that ran so far, each with the text of its commit."""
        file = self.state / "events"
        return file.read_text().splitlines() if file.exists() else []
