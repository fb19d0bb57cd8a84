"""GraphQL: what guests do, once, and how they are told that it was not done."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from marefia.outbox.models import OutboxRow
from marefia.payments.models import Payment
from marefia.stays import bookings
from marefia.stays.models import Booking, BookingStatus, Listing, Review
from tests.app import make, paying
from tests.app.graph import URL, Graph, id_of

pytestmark = pytest.mark.django_db
BOOK = """mutation ($input: BookInput!) {book(input: $input) {
  clientMutationId booking {id reference total status listing {title}} errors {field code message}}}"""
CANCEL = """mutation ($booking: ID!) {cancelBooking(input: {booking: $booking}) {
  booking {status} errors {field code message}}}"""
PAY = """mutation ($booking: ID!) {payBooking(input: {booking: $booking}) {
  payment {txRef amount currency state checkoutUrl} booking {payBy payments {state checkoutUrl}}
  errors {field code message}}}"""
SETTLED = "query ($id: ID!) {node(id: $id) {... on Payment {state checkoutUrl settledAt}}}"
REVIEW = """mutation ($input: ReviewStayInput!) {review(input: $input) {
  review {rating text author} booking {review {rating}} errors {field code message}}}"""


def wish(place: Listing, **changes: Any) -> dict[str, Any]:
    """Input for `book`."""
    stay = make.wish(place)
    return {
        "listing": id_of(place),
        "checkIn": str(stay.check_in),
        "checkOut": str(stay.check_out),
        "guests": 2,
        "clientMutationId": str(stay.reference),
    } | changes


def refused(payload: Any) -> tuple[str | None, str, str]:
    """The one error of a payload that has nothing else."""
    (error,) = payload.pop("errors")
    payload.pop("clientMutationId", None)
    assert not any(payload.values())
    return error["field"], error["code"], error["message"]


def test_a_booking_is_made_and_sent_again_is_the_same() -> None:
    guest, place = make.user(), make.listing()
    body = wish(place)
    first, again = (Graph(guest).data(BOOK, input=body)["book"] for _ in range(2))
    assert first == again
    assert first == {
        "clientMutationId": body["clientMutationId"],
        "booking": {
            "id": id_of(Booking.objects.get()),
            "reference": body["clientMutationId"],
            "total": "1500.00",
            "status": "CONFIRMED",
            "listing": {"title": "Garden house"},
        },
        "errors": [],
    }


def test_a_booking_without_an_id_of_the_clients_gets_a_reference() -> None:
    made = Graph(make.user()).data(BOOK, input=wish(make.listing(), clientMutationId=None))["book"]["booking"]
    assert str(uuid.UUID(made["reference"])) == made["reference"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"guests": 9}, (None, "INVALID", "This place holds 1 to 4 guests.")),
        ({"guests": -(2**31)}, (None, "INVALID", "This place holds 1 to 4 guests.")),
        ({"checkOut": "9999-12-31"}, (None, "INVALID", "A stay lasts at most 90 nights.")),
        ({"checkOut": "0001-01-01"}, (None, "INVALID", "The stay has to end after it begins.")),
        (
            {"checkIn": "2020-01-01", "checkOut": "2020-01-02"},
            (None, "INVALID", "The stay cannot begin in the past."),
        ),
        ({"listing": "x"}, ("listing", "NOT_FOUND", "This is not the id of a listing.")),
        ({"listing": id_of(Booking(pk=1))}, ("listing", "NOT_FOUND", "This is not the id of a listing.")),
        ({"listing": id_of(Listing(pk=10**9))}, ("listing", "NOT_FOUND", "There is no such listing.")),
        ({"clientMutationId": "1"}, ("clientMutationId", "INVALID", "This is no UUID.")),
    ],
)
def test_a_booking_that_breaks_a_rule_is_refused_and_nothing_is_stored(
    change: dict[str, Any], error: tuple[str | None, str, str]
) -> None:
    payload = Graph(make.user()).data(BOOK, input=wish(make.listing(), **change))["book"]
    assert refused(payload) == error
    assert not Booking.objects.exists()
    assert not OutboxRow.objects.exists()


def test_taken_nights_and_anothers_reference_are_conflicts() -> None:
    place, guest = make.listing(), make.user()
    taken = wish(place)
    Graph(guest).data(BOOK, input=taken)
    other = Graph(make.user())
    assert refused(other.data(BOOK, input=wish(place))["book"])[:2] == (None, "CONFLICT")
    assert refused(other.data(BOOK, input=taken)["book"])[:2] == (None, "CONFLICT")
    assert refused(Graph(guest).data(BOOK, input=taken | {"guests": 1})["book"])[:2] == (None, "CONFLICT")
    assert Booking.objects.count() == 1


def test_a_booking_is_cancelled_by_its_guest_only_and_cancelled_twice_is_cancelled_once() -> None:
    guest, place = make.user(), make.listing()
    booking, _ = bookings.book(guest, make.wish(place))
    for other in (place.host, make.user()):
        payload = Graph(other).data(CANCEL, booking=id_of(booking))["cancelBooking"]
        assert refused(payload) == ("booking", "NOT_FOUND", "You have no such booking.")
    for _ in range(2):
        payload = Graph(guest).data(CANCEL, booking=id_of(booking))["cancelBooking"]
        assert payload == {"booking": {"status": "CANCELLED"}, "errors": []}
    assert OutboxRow.objects.filter(handler="stays.count_nights").count() == 2


def test_a_stay_that_has_begun_is_not_cancelled() -> None:
    guest = make.user()
    booking = make.past_stay(guest, make.listing())
    payload = Graph(guest).data(CANCEL, booking=id_of(booking))["cancelBooking"]
    assert refused(payload) == (None, "CONFLICT", "The stay has begun.")
    booking.refresh_from_db()
    assert booking.status == BookingStatus.CONFIRMED


def test_a_stay_is_reviewed_once_by_its_guest_when_it_is_over() -> None:
    guest = make.user(first_name="Hana")
    stayed, coming = make.past_stay(guest, make.listing()), bookings.book(guest, make.wish(make.listing()))[0]

    def say(user: Any, booking: Booking, **content: Any) -> Any:
        said = {"booking": id_of(booking), "rating": 4, "text": "Good."} | content
        return Graph(user).data(REVIEW, input=said)["review"]

    assert refused(say(make.user(), stayed))[:2] == ("booking", "NOT_FOUND")
    assert refused(say(guest, coming)) == (None, "CONFLICT", "A stay can be reviewed when it is over.")
    for field, value in {"rating": 6, "text": "x" * 2001}.items():
        assert refused(say(guest, stayed, **{field: value}))[:2] == (field, "INVALID")
    assert not Review.objects.exists()
    assert say(guest, stayed) == {
        "review": {"rating": 4, "text": "Good.", "author": "Hana"},
        "booking": {"review": {"rating": 4}},
        "errors": [],
    }
    assert refused(say(guest, stayed)) == (None, "CONFLICT", "You have reviewed this stay.")


@pytest.mark.parametrize("mutation", [BOOK, CANCEL, REVIEW])
def test_nobody_writes_without_logging_in(mutation: str) -> None:
    booking = make.past_stay(make.user(), make.listing())
    given: dict[str, Any] = {"booking": id_of(booking)}
    if mutation is not CANCEL:
        given = {"input": wish(booking.listing) if mutation is BOOK else given | {"rating": 5}}
    (payload,) = Graph().data(mutation, **given).values()
    assert refused(payload) == (None, "UNAUTHENTICATED", "Log in first.")
    assert (Booking.objects.count(), Review.objects.count()) == (1, 0)


SEVERAL = """mutation ($one: BookInput!, $two: BookInput!) {
  one: book(input: $one) {booking {id} errors {code}}
  two: book(input: $two) {booking {id} errors {code}}
  again: book(input: $one) {booking {id} errors {code}}
}"""


def test_mutations_of_one_request_run_in_their_order_each_in_a_transaction_of_its_own() -> None:
    place, guest = make.listing(), make.user()
    with CaptureQueriesContext(connection) as captured:
        done = Graph(guest).data(SEVERAL, one=wish(place), two=wish(place))
    (made,) = Booking.objects.all()
    assert done == {
        "one": {"booking": {"id": id_of(made)}, "errors": []},
        "two": {"booking": None, "errors": [{"code": "CONFLICT"}]},
        "again": {"booking": {"id": id_of(made)}, "errors": []},
    }
    assert sum(query["sql"].startswith("SAVEPOINT") for query in captured) >= 3


def test_what_one_mutation_changes_the_next_one_shows() -> None:
    guest = make.user()
    stayed = make.past_stay(guest, make.listing())
    same = wish(
        stayed.listing,
        checkIn=str(stayed.check_in),
        checkOut=str(stayed.check_out),
        guests=stayed.guests,
        clientMutationId=str(stayed.reference),
    )
    query = """mutation ($same: BookInput!, $key: ID!) {
      book(input: $same) {booking {review {rating}}}
      review(input: {booking: $key, rating: 3}) {booking {review {rating}}}}"""
    done = Graph(guest).data(query, same=same, key=id_of(stayed))
    assert [each["booking"]["review"] for each in done.values()] == [None, {"rating": 3}]


def test_one_mutation_that_fails_for_a_fault_of_ours_leaves_what_the_others_did(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret-of-the-house")

    guest, place = make.user(), make.listing()
    coming, _ = bookings.book(guest, make.wish(place, begins=50))
    monkeypatch.setattr("marefia.stays.bookings.cancel", broken)
    query = """mutation ($input: BookInput!, $key: ID!) {
      cancelBooking(input: {booking: $key}) {errors {code}} book(input: $input) {errors {code}}}"""
    response = Graph(guest)(query, input=wish(place), key=id_of(coming))
    assert response.status_code == 200
    assert response.json()["data"] == {"cancelBooking": None, "book": {"errors": []}}
    (error,) = response.json()["errors"]
    assert error["message"] == "Internal error."
    assert (error["path"], error["extensions"]) == (["cancelBooking"], {"code": "INTERNAL_ERROR"})
    assert "secret-of-the-house" not in response.content.decode()
    assert "secret-of-the-house" in caplog.text


def test_a_session_writes_with_its_csrf_token_only() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make.user())
    body = {"query": BOOK, "variables": {"input": wish(make.listing())}}
    response = client.post(URL, body, content_type="application/json")
    assert (response.status_code, "CSRF" in response.json()["errors"][0]["message"]) == (403, True)
    client.get("/accounts/login/")
    headers = {"X-CSRFToken": client.cookies["csrftoken"].value}
    response = client.post(URL, body, content_type="application/json", headers=headers)
    assert response.json()["data"]["book"]["errors"] == []


def test_a_get_never_writes() -> None:
    client = Client()
    client.force_login(make.user())
    given = f'{{"input": {{"booking": "{id_of(make.past_stay(make.user(), make.listing()))}"}}}}'
    query = "query read {viewer {name}} mutation write {book(input: {}) {errors {code}}}".replace(
        "{}", '{listing: "x", checkIn: "2030-01-01", checkOut: "2030-01-02", guests: 1}'
    )
    assert client.get(URL, {"query": query, "operationName": "read"}).status_code == 200
    response = client.get(URL, {"query": query, "operationName": "write", "variables": given})
    assert (response.status_code, response["Allow"]) == (405, "POST")


def test_a_guest_pays_on_the_page_that_the_payment_names() -> None:
    booking = paying.booked()
    guest = Graph(booking.guest)
    first, again = (guest.data(PAY, booking=id_of(booking))["payBooking"] for _ in range(2))
    assert first == again
    payment = Payment.objects.get()
    assert first["payment"] == {
        "txRef": payment.tx_ref,
        "amount": "1500.00",
        "currency": "ETB",
        "state": "OPEN",
        "checkoutUrl": payment.checkout_url,
    }
    assert first["booking"]["payBy"]
    paying.end(payment)
    paying.work()
    assert refused(guest.data(PAY, booking=id_of(booking))["payBooking"]) == (
        None,
        "CONFLICT",
        "This booking is paid.",
    )
    paid = guest.data(SETTLED, id=id_of(payment))
    assert paid["node"]["settledAt"]
    assert (paid["node"]["state"], paid["node"]["checkoutUrl"]) == ("PAID", None)


def test_nobody_pays_or_sees_the_payment_of_another() -> None:
    payment = paying.begun()
    other = Graph(make.user())
    assert refused(other.data(PAY, booking=id_of(payment.booking))["payBooking"])[1] == "NOT_FOUND"
    assert other.data("query ($id: ID!) {node(id: $id) {id}}", id=id_of(payment)) == {"node": None}


def test_chapa_away_is_said_and_nothing_is_paid() -> None:
    booking = paying.booked()
    paying.fault("down")
    payload = Graph(booking.guest).data(PAY, booking=id_of(booking))["payBooking"]
    assert refused(payload) == (
        None,
        "UNAVAILABLE",
        "Chapa does not answer. Nothing was paid; try again in a minute.",
    )
