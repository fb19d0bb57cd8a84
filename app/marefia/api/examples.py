"""What the schema and its page show of each object."""

from typing import Any

from drf_spectacular.utils import OpenApiExample


def examples(answer: dict[str, Any] | None = None, *written: str, **request: Any) -> list[OpenApiExample]:
    """Return the examples of an object: an answer, and a request with its fields that are `written` and some more."""
    taken = {name: (answer or {})[name] for name in written} | request
    return [OpenApiExample("answer", answer, response_only=True)] * bool(answer) + [
        OpenApiExample("request", taken, request_only=True)
    ] * bool(taken)


LISTING_V2 = {
    "id": 7,
    "title": "Garden house",
    "place": "Gondar",
    "description": "Ten minutes on foot from the castles.",
    "price": {"amount": "1900.00", "currency": "ETB"},
    "capacity": 5,
    "amenities": [{"id": 6, "name": "Garden"}, {"id": 1, "name": "Wi-Fi"}],
    "host": {"id": 2, "name": "Almaz Tesfaye"},
    "nights_booked": 12,
    "created_at": "2026-11-23T09:00:00+03:00",
}
LISTING = LISTING_V2 | {"price": "1900.00", "amenities": ["Garden", "Wi-Fi"], "host": "Almaz Tesfaye"}
LISTING_WRITTEN = ("title", "place", "description", "price", "capacity", "amenities")
BOOKING = {
    "id": 31,
    "listing": 7,
    "check_in": "2027-01-02",
    "check_out": "2027-01-05",
    "guests": 2,
    "total": "5700.00",
    "status": "confirmed",
    "pay_by": "2026-11-24T11:00:00+03:00",
    "reference": "0b9e8f5e-53f5-4d4b-9d0a-0a4f5a3f4c11",
    "created_at": "2026-11-24T10:30:00+03:00",
}
PAYMENT = {
    "id": 12,
    "booking": 31,
    "tx_ref": "0b9e8f5e53f54d4b9d0a0a4f5a3f4c11-1",
    "amount": "5700.00",
    "currency": "ETB",
    "state": "open",
    "checkout_url": "https://checkout.chapa.co/checkout/payment/...",
    "created_at": "2026-11-24T10:31:00+03:00",
    "settled_at": None,
}
REVIEW = {
    "id": 4,
    "rating": 5,
    "text": "Clean, calm, and the coffee is superb.",
    "guest": "Dawit Alemu",
    "created_at": "2027-01-06T08:15:00+03:00",
}
PROFILE = {
    "email": "dawit@example.org",
    "first_name": "Dawit",
    "last_name": "Alemu",
    "phone": "0911123456",
    "role": "guest",
}
TOKEN = {"token": "6f1c2a...", "expiry": "2026-12-24T10:30:00+03:00"}
CREDENTIALS: dict[str, Any] = {"email": "dawit@example.org", "password": "..."}  # pragma: allowlist secret
