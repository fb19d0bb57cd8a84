"""Who may do what: one table for each way in, and every cell of it is tried.

A row is a deed, a column a person, a cell what that person hears: a status for REST and pages. Another way in (GraphQL,
pages) adds a table of its own here, read by `table`, and a test that tries its cells in a `Scene`.
"""

import datetime
from dataclasses import dataclass, field
from typing import Any

from marefia.accounts.models import Role, User
from marefia.payments.models import Payment
from marefia.payments.states import State
from marefia.stays.bookings import today
from marefia.stays.models import Amenity, Booking, Listing
from tests.app import make

Table = dict[str, dict[str, str]]
"""What each person hears, by deed."""

PEOPLE = {
    "anonymous": "not logged in",
    "guest": "has nothing to do with what is there",
    "owner": "the guest whose booking, stay and account it is",
    "host": "of the listing",
    "other": "the host of another listing",
    "staff": "may use the admin; the API gives no more for it",
}


def table(text: str) -> Table:
    """Read a line with the names of PEOPLE, and rows: a deed, which may have several words, then a cell for each."""
    names, *rows = [line.split() for line in text.splitlines() if line.strip()]
    assert names == list(PEOPLE)
    cells = len(names)
    return {" ".join(row[:-cells]): dict(zip(names, row[-cells:], strict=True)) for row in rows}


REST = table(
    """
                                          anonymous guest owner host other staff
    GET    /api/v1/listings               200       200   200   200  200   200
    POST   /api/v1/listings               401       403   403   201  201   403
    GET    /api/v1/listings/{pk}          200       200   200   200  200   200
    PUT    /api/v1/listings/{pk}          401       403   403   200  403   403
    PATCH  /api/v1/listings/{pk}          401       403   403   200  403   403
    DELETE /api/v1/listings/{pk}          401       403   403   204  403   403
    GET    /api/v1/listings/{pk}/reviews  200       200   200   200  200   200
    POST   /api/v1/listings/{pk}/reviews  401       400   201   400  400   400
    GET    /api/v1/bookings               401       200   200   200  200   200
    POST   /api/v1/bookings               401       201   201   400  201   201
    GET    /api/v1/bookings/{pk}          401       404   200   404  404   404
    PATCH  /api/v1/bookings/{pk}          401       404   200   404  404   404
    POST   /api/v1/bookings/{pk}/payments 401       404       201   404  404   404
    GET    /api/v1/payments               401       200       200   200  200   200
    GET    /api/v1/payments/{pk}          401       404       200   404  404   404
    GET    /api/v1/profile                401       200   200   200  200   200
    PATCH  /api/v1/profile                401       200   200   200  200   200
    POST   /api/v1/tokens                 401       201   201   201  201   201
    DELETE /api/v1/tokens                 401       204   204   204  204   204
    GET    /api/v2/amenities              200       200   200   200  200   200
    GET    /api/v2/listings               200       200   200   200  200   200
    POST   /api/v2/listings               401       403   403   201  201   403
    GET    /api/v2/listings/{pk}          200       200   200   200  200   200
    PUT    /api/v2/listings/{pk}          401       403   403   200  403   403
    PATCH  /api/v2/listings/{pk}          401       403   403   200  403   403
    DELETE /api/v2/listings/{pk}          401       403   403   204  403   403
    GET    /api/schema                    200       200   200   200  200   200
    GET    /api/docs                      200       200   200   200  200   200
    """
)


GRAPH = table(
    """
                       anonymous       guest      owner     host      other     staff
    listings           data            data       data      data      data      data
    viewer             null            data       data      data      data      data
    node Listing       data            data       data      data      data      data
    node Review        data            data       data      data      data      data
    node Amenity       data            data       data      data      data      data
    node Host          data            data       data      data      data      data
    node Booking       null            null       data      null      null      null
    node Payment       null            null       data      null      null      null
    book               UNAUTHENTICATED data       data      INVALID   data      data
    cancelBooking      UNAUTHENTICATED NOT_FOUND  data      NOT_FOUND NOT_FOUND NOT_FOUND
    payBooking         UNAUTHENTICATED NOT_FOUND  data      NOT_FOUND NOT_FOUND NOT_FOUND
    review             UNAUTHENTICATED NOT_FOUND  data      NOT_FOUND NOT_FOUND NOT_FOUND
    """
)
"""`data`, `null`, or the code of the one error."""

PAGES = table(
    """
                                    anonymous guest owner host other staff
    GET  /                          200       200   200   200  200   200
    GET  /listings/{pk}/            200       200   200   200  200   200
    POST /listings/{pk}/            login     302   302   422  302   302
    GET  /bookings/                 login     200   200   200  200   200
    POST /bookings/{pk}/cancel/     login     404   302   404  404   404
    GET  /bookings/{pk}/review/     login     404   200   404  404   404
    POST /bookings/{pk}/review/     login     404   302   404  404   404
    GET  /hosting/                  login     403   403   200  200   403
    GET  /hosting/bookings/         login     403   403   200  200   403
    GET  /hosting/add/              login     403   403   200  200   403
    POST /hosting/add/              login     403   403   302  302   403
    GET  /hosting/{pk}/             login     403   403   200  404   403
    POST /hosting/{pk}/             login     403   403   302  404   403
    POST /payments/booking/{pk}/    login     404   302   404  404   404
    GET  /payments/{tx_ref}/        login     404   200   404  404   404
    GET  /payments/export.csv       login     login login login login 200
    GET  /mailbox/                  login     200   200   200  200   200
    GET  /mailbox/{file}/{number}/  login     404   200   404  404   200
    GET  /admin/                    login     login login login login 200
    """
)
"""A status, or `login` for whoever is sent there."""

EVERYBODY = {
    *("/livez", "/readyz", "/version", "/metrics", "/static/{path}", "/graphql"),
    *("/payments/webhook", "/payments/callback", "/sandbox/chapa/checkout/{reference}/"),
    *(
        f"/accounts/{name}/"
        for name in ("sign-up", "login", "logout", "password_reset", "password_reset/done")
    ),
    *("/accounts/reset/{uidb64}/{token}/", "/accounts/reset/done/"),
    *("/accounts/password_change/", "/accounts/password_change/done/"),  # of oneself
}
"""Paths whose answer does not depend on who asks. The sandbox's API wants its own key (tests/app/test_sandbox.py)."""


@dataclass
class Scene:
    """A listing that nobody has booked, and one with a stay that is over and a booking that is to come."""

    people: dict[str, User] = field(default_factory=dict)

    def __post_init__(self) -> None:
        roles = {"host": Role.HOST, "other": Role.HOST}
        for name in PEOPLE:
            if name != "anonymous":
                rights = {"is_staff": True, "is_superuser": True} if name == "staff" else {}
                self.people[name] = make.user(roles.get(name, Role.GUEST), **rights)
        self.host, self.owner = self.people["host"], self.people["owner"]
        self.amenity = Amenity.objects.create(name="Wi-Fi")
        self.empty = make.listing(host=self.host)
        self.booked = make.listing(host=self.host)
        make.listing(host=self.people["other"])
        self.stay = make.past_stay(self.owner, self.booked)
        self.booking = Booking.objects.create(
            listing=self.booked,
            guest=self.owner,
            check_in=today() + datetime.timedelta(days=40),
            check_out=today() + datetime.timedelta(days=42),
            guests=1,
            total=1000,
        )

        self.payment = Payment.objects.create(
            booking=self.stay, tx_ref="paid", amount=self.stay.total, state=State.PAID
        )

    def path(self, template: str) -> str:
        """A path with the ids of what is there."""
        listing: Listing = self.booked if template.endswith("/reviews") else self.empty
        ids = {"listings/{pk}": f"listings/{listing.pk}", "bookings/{pk}": f"bookings/{self.booking.pk}"}
        ids |= {"payments/{pk}": f"payments/{self.payment.pk}"}
        for named, found in ids.items():
            template = template.replace(named, found)
        return template

    def body(self, method: str, template: str, who: str) -> Any:
        """A body that only the person can make wrong."""
        listing = {"title": "Flat", "place": "Harar", "price": "700.00", "capacity": 2}
        money = {"amount": "700.00", "currency": "ETB"}
        night = today() + datetime.timedelta(days=60)
        booking = {"listing": self.booked.pk, "check_in": f"{night}", "guests": 1}
        email = self.people[who].email if who in self.people else "nobody@example.org"
        bodies: dict[str, Any] = {
            "/api/v1/listings": listing,
            "/api/v2/listings": listing | {"price": money, "amenities": [{"id": self.amenity.pk}]},
            "/api/v1/listings/{pk}/reviews": {"booking": self.stay.pk, "rating": 5},
            "/api/v1/bookings": booking | {"check_out": f"{night + datetime.timedelta(days=1)}"},
            "/api/v1/bookings/{pk}": {"status": "cancelled"},
            "/api/v1/profile": {"phone": "0911 123456"},
            "/api/v1/tokens": {"email": email, "password": make.PASSWORD},
        }
        return bodies.get(template, bodies.get(template.removesuffix("/{pk}")))
