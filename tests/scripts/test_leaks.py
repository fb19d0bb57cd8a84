"""Which secrets of the tracked files and of earlier commits scripts/leaks.py finds, and what it never shows."""

import json
import re
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.scripts.project import ROOT, Project

SECRET = 'aws = "AKIA' + "Z7QK2M4XW9BD1FGH" + '"\n'
BASELINE = json.loads((ROOT / ".secrets.baseline").read_text())


@pytest.fixture
def leaky(project: Project) -> Project:
    """A repository with little in it, and nothing to be found."""
    for name in ("scripts", "jenkins", ".github", "infra", ".git"):
        shutil.rmtree(project.path / name)
    project.write(
        {".secrets.baseline": json.dumps(BASELINE | {"results": {}}), ".gitignore": "__pycache__/\n"},
        {f"scripts/{name}": (ROOT / "scripts" / name).read_text() for name in ("leaks.py", "exceptions.py")},
    )
    project.git("init", "--quiet", "--initial-branch=main")
    project.commit("first")
    return project


def leaks(leaky: Project, where: str) -> list[str]:
    """The lines of what is refused there. No secret is ever in them."""
    done = leaky.run(sys.executable, "scripts/leaks.py", where, status=None)
    assert (done.returncode, done.stdout) == (int(bool(done.stderr)), "")
    assert "Z7QK2M4XW9BD1FGH" not in done.stderr
    return done.stderr.splitlines()


def except_(leaky: Project, check: str, what: str) -> None:
    """Let something pass."""
    until = datetime.now(UTC).date() + timedelta(days=30)
    entry = {"what": what, "reason": "nobody is harmed by it", "until": str(until)}
    leaky.write({"infra/exceptions.yml": json.dumps({check: [entry]}).replace(f'"{until}"', str(until))})


def review(leaky: Project) -> str:
    """Take what is in the tree into the baseline."""
    leaky.run(
        str(Path(sys.executable).with_name("detect-secrets")), "scan", "--baseline", ".secrets.baseline"
    )
    return (leaky.path / ".secrets.baseline").read_text()


def test_a_reviewed_secret_that_moved_to_another_line_passes_and_the_baseline_stays(leaky: Project) -> None:
    leaky.commit("leak", **{"settings.py": SECRET})
    baseline = review(leaky)
    except_(leaky, "secrets", "settings.py")
    leaky.commit("moved", **{"settings.py": "\n" + SECRET})
    assert leaks(leaky, "tree") == []
    assert (leaky.path / ".secrets.baseline").read_text() == baseline


def test_a_reviewed_secret_without_an_exception_is_found_and_one_that_is_gone_too(leaky: Project) -> None:
    leaky.commit("leak", **{"settings.py": SECRET})
    review(leaky)
    (line,) = leaks(leaky, "tree")
    assert line.startswith("settings.py stands in .secrets.baseline without an exception; ")
    except_(leaky, "secrets", "settings.py")
    leaky.write({"settings.py": ""})
    (line,) = leaks(leaky, "tree")
    assert line.startswith(".secrets.baseline: AWS Access Key of settings.py:1 is there no more; ")


@pytest.mark.parametrize(
    ("file", "text", "kind"),
    [
        ("settings.py", SECRET, "AWS Access Key"),
        ('a "quoted" ü.py', SECRET, "AWS Access Key"),
        ("settings.yml", "here:\n  key: 5f3c9a81d0e24b7796ab" + "c1e8f2604d7b93a5e6c1\n", "Hex High Entropy String"),
        ("patch.txt", "++ b/nothing\n-- a/nothing\n@@ -1 +1 @@\ncommit 1\n" + SECRET, "AWS Access Key"),
    ],
)  # fmt: skip
def test_a_secret_that_a_later_commit_took_out_is_found_by_commit_and_file(
    leaky: Project, file: str, text: str, kind: str
) -> None:
    leaked = leaky.commit("leak", **{file: text})
    leaky.commit("more", **{file: text + "# more\n"})
    leaky.git("rm", "--quiet", file)
    leaky.commit("sorry")
    name = f"{leaked[:12]} " + file.replace('"', '\\"')
    assert leaks(leaky, "history") == [
        f"{name}: {kind}; revoke what it opens, then except it: infra/exceptions.yml"
    ]
    except_(leaky, "history", name)
    assert leaks(leaky, "history") == []


def test_a_file_that_git_shows_no_changes_of_is_looked_into(leaky: Project) -> None:
    leaky.commit("leak", **{".gitattributes": "*.pem -diff\n", "key.pem": SECRET})
    leaky.commit("sorry", **{"key.pem": ""})
    assert "key.pem: AWS Access Key" in leaks(leaky, "history")[0]


def test_a_secret_that_only_a_merge_brought_in_is_found(leaky: Project) -> None:
    leaky.git("switch", "--quiet", "--create", "side")
    leaky.commit("side")
    leaky.git("switch", "--quiet", "main")
    leaky.git("merge", "--quiet", "--no-ff", "--no-commit", "side")
    merge = leaky.commit("merge", **{"settings.py": SECRET})
    assert len(leaky.git("show", "--no-patch", "--format=%P", merge).split()) == 2
    leaky.commit("sorry", **{"settings.py": ""})
    assert leaks(leaky, "history")[0].startswith(f"{merge[:12]} settings.py: ")


def test_what_is_in_the_tree_is_not_found_twice(leaky: Project) -> None:
    leaky.commit("leak", **{"settings.py": SECRET})
    assert len(leaks(leaky, "tree")) == 1
    assert leaks(leaky, "history") == []


def test_what_the_baseline_reviewed_passes_in_any_commit(leaky: Project) -> None:
    leaky.commit("leak", **{"old.py": SECRET.strip() + "  # once\n"})
    leaky.git("rm", "--quiet", "old.py")
    leaky.commit("moved", **{"settings.py": SECRET})
    assert len(leaks(leaky, "history")) == 1
    review(leaky)
    except_(leaky, "secrets", "settings.py")
    assert leaks(leaky, "history") == []


def test_a_shallow_clone_is_refused(leaky: Project) -> None:
    leaky.commit("second")
    leaky.git("clone", "--quiet", "--depth=1", f"file://{leaky.path}", "../shallow")
    leaky.path = leaky.path.parent / "shallow"
    assert leaks(leaky, "history") == [
        "the clone is shallow, so its history cannot be seen; run `git fetch --unshallow`"
    ]


HIDDEN = {
    "a NUL": b"a\0b\n" + SECRET.encode(),
    "a NUL beside it": b"a\0" + SECRET.encode(),
    "UTF-16": SECRET.encode("utf-16"),
    "UTF-16 without a mark": f"a\n{SECRET}".encode("utf-16-be"),
    "UTF-32": SECRET.encode("utf-32"),
    "Latin-1": "é".encode("latin-1") + SECRET.encode(),
}


@pytest.mark.parametrize("content", HIDDEN.values(), ids=HIDDEN)
def test_a_secret_is_found_whatever_its_file_is_written_in(leaky: Project, content: bytes) -> None:
    (leaky.path / "settings.py").write_bytes(content)
    leaked = leaky.commit("leak")
    (line,) = leaks(leaky, "tree")
    assert re.match(r"settings\.py:\d AWS Access Key; take it out and change it", line)
    assert leaks(leaky, "history") == []
    leaky.git("rm", "--quiet", "settings.py")
    leaky.commit("sorry")
    (line,) = leaks(leaky, "history")
    assert line.startswith(f"{leaked[:12]} settings.py: AWS Access Key; ")


def test_what_no_baseline_can_review_is_excepted_by_its_file(leaky: Project) -> None:
    (leaky.path / "settings.py").write_bytes(SECRET.encode("utf-16"))
    leaky.commit("leak")
    except_(leaky, "secrets", "settings.py")
    assert leaks(leaky, "tree") == []


def test_a_secret_in_the_baseline_itself_is_found(leaky: Project) -> None:
    baseline = leaky.path / ".secrets.baseline"
    clean = baseline.read_text()
    leaked = leaky.commit("leak", **{baseline.name: f'{{"why": {json.dumps(SECRET)},\n{clean[1:]}'})
    (line,) = leaks(leaky, "tree")
    assert line.startswith(".secrets.baseline:1 AWS Access Key; take it out and change it")
    leaky.commit("sorry", **{baseline.name: clean})
    assert f"{leaked[:12]} .secrets.baseline: AWS Access Key; " in leaks(leaky, "history")[0]


def test_a_secret_in_the_place_of_a_hash_is_found(leaky: Project) -> None:
    leaky.commit("leak", **{"settings.py": SECRET})
    text = re.sub(r'(?<="hashed_secret": ")\w+', SECRET.split('"')[1], review(leaky))
    leaky.commit("hide", **{"settings.py": "", ".secrets.baseline": text})
    except_(leaky, "secrets", "settings.py")
    assert any(re.match(r"\.secrets\.baseline:\d+ AWS Access Key; ", line) for line in leaks(leaky, "tree"))


PRAGMA = "  # pragma: " + "allowlist secret\n"


def test_the_lines_that_a_pragma_lets_pass_are_counted_and_excepted_by_file(leaky: Project) -> None:
    leaky.commit("leak", **{"settings.py": SECRET.strip() + PRAGMA})
    (line,) = leaks(leaky, "tree")
    assert line.startswith("settings.py 1: lines that a pragma lets pass, without an exception; ")
    except_(leaky, "pragmas", "settings.py 1")
    assert leaks(leaky, "tree") == []
    leaky.commit("another", **{"settings.py": (SECRET.strip() + PRAGMA) * 2})
    found, unused = leaks(leaky, "tree")
    assert found.startswith("settings.py 2: ")
    assert "settings.py 1 matches nothing any more" in unused


@pytest.mark.parametrize("where", ["tree", "history"])
def test_without_a_baseline_nothing_passes(leaky: Project, where: str) -> None:
    (leaky.path / ".secrets.baseline").unlink()
    assert leaks(leaky, where) == [
        ".secrets.baseline cannot be read; make one: detect-secrets scan >.secrets.baseline"
    ]
