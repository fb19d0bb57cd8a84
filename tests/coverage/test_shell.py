"""Only shell commands that really ran count, whatever shape they have."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.coverage import record, shell


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an empty scripts/ and empty recordings/."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "recordings").mkdir()
    return tmp_path


def write(checkout: Path, name: str, text: str) -> Path:
    path = checkout / "scripts" / name
    path.write_text(f"#!/usr/bin/env bash\n{text}")
    path.chmod(0o755)
    return path


def run(checkout: Path, *command: str, cwd: Path | None = None) -> None:
    recording = {
        "BASH_ENV": str(record.ROOT / "tests/coverage/trace.sh"),
        "INFRA_COVERAGE_DIR": str(checkout / "recordings"),
    }
    subprocess.run(
        command, cwd=cwd or checkout, env=os.environ | recording, check=False, stdin=subprocess.DEVNULL
    )


def unexecuted(checkout: Path) -> list[str]:
    return [line.text.strip() for line in shell.lines(checkout, checkout / "recordings") if not line.executed]


def test_a_line_in_a_branch_that_is_not_taken_is_reported(checkout: Path) -> None:
    write(checkout, "one", "if true; then\n    echo taken\nelse\n    echo other\nfi\n")
    run(checkout, "scripts/one")
    assert unexecuted(checkout) == ["echo other"]


def test_a_command_after_or_on_the_same_line_has_to_run_too(checkout: Path) -> None:
    # Material to be measured: branches not taken have to be reported.
    write(checkout, "one", "true || exit 3\nfalse || true\necho a || echo b\n")
    run(checkout, "scripts/one")
    assert unexecuted(checkout) == ["true || exit 3", "echo a || echo b"]


EVERYTHING = r"""set -euo pipefail
outer() {
    local a=1 b
    b=$(
        printf 'inner' |
            tr a b
    )
    printf '%s %s\n' \
        "$a" \
        "$b"
}
list=(
    one
    two
)
list+=("th ree")
trap 'outer' EXIT
outer "$(outer)"
if [[ ${list[0]} == one ]] && ((${#list[@]} > 1)); then
    cat <<END
hello $(echo sub)
END
fi
(
    cd /tmp
    exec true
)
mapfile -t lines < <(
    echo a
)
while read -r line; do [[ $line ]]; done <<<"a"
for i in 1 2; do :; done
case $i in
    1) echo one ;;
    2) echo two ;;
esac
program=echo
"$program" "two
lines"
A=b env >/dev/null
z=$(echo 1) q=$(
    echo 2
)
declare -A map=([a]=b)
map[c]=d
{ [ 1 = 1 ] && echo background; } &
wait
exec echo end
"""


def test_every_shape_of_command_is_seen_when_it_runs(checkout: Path) -> None:
    write(checkout, "everything", EVERYTHING)
    run(checkout, "scripts/everything")
    assert unexecuted(checkout) == ["1) echo one ;;"]


def test_nothing_is_executed_in_a_script_that_never_ran(checkout: Path) -> None:
    write(checkout, "everything", EVERYTHING)
    measured = shell.lines(checkout, checkout / "recordings")
    assert len(measured) > 30
    assert not any(line.executed for line in measured)


@pytest.mark.parametrize(
    "command",
    [
        ["bash", "-c", "cd scripts && ./main"],
        ["bash", "-c", "cd / && {root}/scripts/main"],
        ["bash", "-c", ". {root}/scripts/main"],
        ["sh", "-c", "exec scripts/main"],
        ["env", "-C", "hooks", "./main"],
    ],
    ids=lambda command: command[-1],
)
def test_a_script_and_its_library_are_found_however_they_are_started(
    checkout: Path, command: list[str]
) -> None:
    write(checkout, "lib.sh", "greet() {\n    echo hello\n}\n")
    main = write(checkout, "main", '. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"\ngreet\n')
    (checkout / "hooks").mkdir()
    for file in main, main.with_name("lib.sh"):
        copy = checkout / "hooks" / file.name
        copy.write_bytes(file.read_bytes())
        copy.chmod(0o755)
    run(checkout, *(word.replace("{root}", str(checkout)) for word in command))
    assert unexecuted(checkout) == []


def test_what_an_older_version_of_a_script_executed_does_not_count(checkout: Path) -> None:
    script = write(checkout, "one", "echo a\n")
    run(checkout, "scripts/one")
    assert unexecuted(checkout) == []
    script.write_text(script.read_text() + "echo b\n")
    assert unexecuted(checkout) == ["echo a", "echo b"]


def test_the_trace_reaches_neither_output_of_the_script(checkout: Path) -> None:
    script = write(checkout, "one", "echo out\necho err >&2\n")
    ran = subprocess.run(
        [script], env=os.environ | record.environment(), capture_output=True, text=True, check=True
    )
    assert (ran.stdout, ran.stderr) == ("out\n", "err\n")
