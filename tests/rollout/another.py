"""Another Django project: a service file, its settings and its own code, in the place of the repository's own."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.rollout.changes import replace
from tests.rollout.checkout import Change
from tests.rollout.load import Ask
from tests.rollout.wire import Request, Response

NAME = "marefia-guests"
"""It begins as that of its neighbour does, of which nothing may be taken for its own."""
HOST = "guestbook.example"
PROCESSES = ("web", "clock")
GUESTBOOK = Path(__file__).parent / "guestbook"
PACKAGES = (
    "asgiref", "django", "gunicorn", "packaging", "psycopg", "psycopg-binary", "sqlparse", "typing-extensions",
)  # fmt: skip


def become_the_guestbook(checkout: Path) -> None:
    """All that another project writes; of the repository's own service nothing stays."""
    shutil.rmtree(checkout / "app")
    (checkout / "infra/schedules.yml").unlink()
    shutil.copytree(GUESTBOOK / "src", checkout / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(GUESTBOOK / "service.yml", checkout / "infra/service.yml")
    for settings in GUESTBOOK.glob("*.env"):
        shutil.copy(settings, checkout / "infra/environments")
    shutil.rmtree(checkout / "k8s/overlays")
    shutil.copytree(GUESTBOOK / "k8s", checkout / "k8s/overlays/dev")
    lock = (checkout / "requirements/service.txt").read_text()
    wanted = rf"(?m)^(?:{'|'.join(PACKAGES)})==.*\n(?: +--hash=.*\n)+"
    (checkout / "locks").mkdir()
    (checkout / "locks/guestbook.txt").write_text("".join(re.findall(wanted, lock)))


def says(text: str) -> Change:
    """Code that greets with something more."""

    def change(checkout: Path) -> None:
        replace(checkout / "src/guests/views.py", "</h1>", f"</h1>{text}")

    return change


class Guests:
    """Clients who write entries and look them up."""

    def prepare(self, ask: Ask, clients: int) -> None:
        """Nobody logs in."""

    def reads(self, client: int) -> Sequence[Request]:
        return (Request("GET", "/"), Request("GET", "/entries"))

    def write(self, client: int, key: str) -> Request:
        return Request("POST", "/entries", 201, body=key.encode())

    def lookup(self, client: int, key: str) -> Request:
        return Request("GET", f"/entries?key={key}")

    def stored(self, response: Response) -> int:
        return int(re.findall(rb'"stored": (\d+)', response.body)[0])
