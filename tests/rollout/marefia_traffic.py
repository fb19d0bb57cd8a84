"""What the load asks of Marefia: pages with their hashed style sheet, the API, and bookings as writes."""

import json
import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from tests.rollout.load import Ask
from tests.rollout.wire import Request, Response

STYLE_SHEET = r'href="(/static/[^"]+\.[0-9a-f]{12}\.css)"'
PASSWORD = "marefia-demo"


class MarefiaTraffic:
    """Each client is a guest of the demo data and books a listing of its own, night after night."""

    def __init__(self) -> None:
        self._tokens: list[str] = []
        self._listings: list[int] = []
        self._nights: list[date] = []

    def prepare(self, ask: Ask, clients: int) -> None:
        """Log the guests in and give each a listing. Raises LostError."""
        listings: list[dict[str, Any]] = ask("/api/v1/listings")["results"]
        if len(listings) < clients:
            raise ValueError(f"{clients} clients need a listing each; the first page shows {len(listings)}")
        # Nights that no earlier run has taken: anywhere in a few thousand years.
        first = date(2100, 1, 1) + timedelta(days=random.SystemRandom().randrange(2_000_000))
        for client in range(clients):
            login = {"email": f"guest{client + 1}@example.org", "password": PASSWORD}
            self._tokens.append(ask("/api/v1/tokens", login)["token"])
            self._listings.append(listings[client]["id"])
            self._nights.append(first)

    def reads(self, client: int) -> Sequence[Request]:
        """Pages, a page and then its style sheet, the API, and the version."""
        page = f"/listings/{self._listings[client]}/"
        return (
            Request("GET", "/api/v1/listings"),
            Request("GET", "/", follow=STYLE_SHEET),
            Request("GET", page, follow=STYLE_SHEET, label="/listings/N/"),
            Request("GET", "/version"),
        )

    def write(self, client: int, key: str) -> Request:
        """A booking of one night, the next free one of this client's listing."""
        check_in = self._nights[client]
        self._nights[client] += timedelta(days=1)
        booking = {
            "reference": key,
            "listing": self._listings[client],
            "check_in": check_in.isoformat(),
            "check_out": (check_in + timedelta(days=1)).isoformat(),
            "guests": 1,
        }
        headers = {"Content-Type": "application/json", **self._login(client)}
        return Request("POST", "/api/v1/bookings", 201, headers, json.dumps(booking).encode())

    def lookup(self, client: int, key: str) -> Request:
        """The guest's own bookings with this reference."""
        return Request("GET", f"/api/v1/bookings?reference={key}", headers=self._login(client))

    def stored(self, response: Response) -> int:
        """The number of bookings found."""
        return len(json.loads(response.body)["results"])

    def _login(self, client: int) -> dict[str, str]:
        return {"Authorization": f"Token {self._tokens[client]}"}
