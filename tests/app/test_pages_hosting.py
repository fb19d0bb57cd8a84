"""A host's pages: the own places, and who booked them."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from marefia.accounts.models import Profile, Role, User
from marefia.outbox.models import OutboxRow
from marefia.stays import bookings, listings
from marefia.stays.models import Amenity, Listing
from tests.app import make

pytestmark = pytest.mark.django_db
PLACE = {
    "title": "Lake house",
    "place": "Bahir Dar",
    "description": "Calm.\n\nBy the lake.",
    "price": "900.50",
    "capacity": "4",
}


@pytest.fixture
def host() -> User:
    return make.user(Role.HOST, first_name="Almaz")


def test_a_host_offers_a_place_and_changes_it(client: Client, host: User) -> None:
    wifi, garden = (Amenity.objects.create(name=name) for name in ("Wi-Fi", "Garden"))
    client.force_login(host)
    assert "None yet" in client.get("/hosting/").content.decode()
    added = client.post("/hosting/add/", PLACE | {"amenities": [wifi.pk]}, follow=True)
    place = Listing.objects.get()
    assert added.request["PATH_INFO"] == reverse("listing", args=[place.pk])
    assert "Change your place" in added.content.decode()
    assert (place.host, place.price, [*place.amenities.all()]) == (host, Decimal("900.50"), [wifi])
    url = reverse("edit_listing", args=[place.pk])
    assert url in client.get("/hosting/").content.decode()
    form = client.get(url).context["form"]
    assert [box.data["value"] for box in form["amenities"] if box.data["selected"]] == [str(wifi.pk)]
    changed = client.post(url, PLACE | {"title": "Mill", "amenities": [garden.pk]})
    assert changed.status_code == 302
    place.refresh_from_db()
    assert (place.title, [*place.amenities.all()]) == ("Mill", [garden])


def test_only_hosts_come_in(client: Client) -> None:
    paths = ["/hosting/", "/hosting/add/", "/hosting/bookings/", "/hosting/1/"]
    for path in paths:
        assert client.get(path)["Location"] == f"/accounts/login/?next={path}"
    client.force_login(make.user())
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 403
        assert "<h1>Not for you</h1>" in answer.content.decode()
        assert client.post(path, PLACE).status_code == 403
    assert "/hosting/" not in client.get("/").content.decode()
    assert not Listing.objects.exists()


def test_nobody_changes_anothers_place_nor_who_is_no_host_any_more(client: Client, host: User) -> None:
    place = make.listing(host=host)
    other = make.user(Role.HOST)
    client.force_login(other)
    assert client.post(reverse("edit_listing", args=[place.pk]), PLACE).status_code == 404
    with pytest.raises(listings.NotAllowedError, match="own host"):
        listings.change(other, place.pk, title="Mine")
    Profile.objects.filter(user=host).update(role=Role.GUEST)
    once = User.objects.get(pk=host.pk)
    with pytest.raises(listings.NotAllowedError, match="own host"):
        listings.change(once, place.pk, title="Mine")
    with pytest.raises(listings.NotAllowedError, match="Only a host"):
        listings.offer(once, title="Mine")
    place.refresh_from_db()
    assert place.title == "Garden house"


def test_of_two_places_the_one_that_is_meant_is_changed(host: User) -> None:
    one, other = make.listing(host=host), make.listing(host=host)
    listings.change(host, one.pk, title="Lake house")
    assert [Listing.objects.get(pk=place.pk).title for place in (one, other)] == ["Lake house", other.title]


def test_nights_that_are_counted_while_a_host_writes_stay_counted(
    client: Client, host: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make.listing(host=host)
    change = listings.change

    def meanwhile(*args: object, **kwargs: object) -> Listing:
        Listing.objects.update(nights_booked=7)
        return change(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(listings, "change", meanwhile)
    client.force_login(host)
    assert client.post(reverse("edit_listing", args=[place.pk]), PLACE).status_code == 302
    place.refresh_from_db()
    assert (place.title, place.nights_booked) == ("Lake house", 7)


def test_a_place_that_goes_away_while_its_host_writes_is_not_found(
    client: Client, host: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make.listing(host=host)

    def gone(*_: object, **__: object) -> Listing:
        raise Listing.DoesNotExist

    monkeypatch.setattr(listings, "change", gone)
    monkeypatch.setattr(bookings, "book", gone)
    client.force_login(host)
    assert client.post(reverse("edit_listing", args=[place.pk]), PLACE).status_code == 404
    client.force_login(make.user())
    wish = make.wish(place)
    form = {name: getattr(wish, name) for name in ("check_in", "check_out", "guests", "reference")}
    assert client.post(reverse("listing", args=[place.pk]), form).status_code == 404


def test_a_host_sees_who_comes_and_nobody_elses_guests(client: Client, host: User) -> None:
    guest = make.user(first_name="Dawit", last_name="Alemu")
    own, _ = bookings.book(guest, make.wish(make.listing(host=host)))
    bookings.book(guest, make.wish(make.listing()))
    client.force_login(host)
    answer = client.get("/hosting/bookings/")
    assert list(answer.context["page"]) == [own]
    assert "Dawit Alemu" in answer.content.decode()
    assert guest.email not in answer.content.decode()


def test_the_own_place_has_no_form_to_book_it(client: Client, host: User) -> None:
    place = make.listing(host=host)
    client.force_login(host)
    url = reverse("listing", args=[place.pk])
    assert "This is your own place." in client.get(url).content.decode()


def test_a_title_is_one_line_and_so_is_the_subject_of_the_mail_about_it(client: Client, host: User) -> None:
    client.force_login(host)
    client.post("/hosting/add/", PLACE | {"title": "Lake\r\nBcc: x@example.org"})
    place = Listing.objects.get()
    assert place.title == "Lake Bcc: x@example.org"
    Listing.objects.update(title="Lake\nBcc: x@example.org")  # another way in
    bookings.book(make.user(), make.wish(place))
    row = OutboxRow.objects.get(handler="outbox.mail")
    assert row.payload["subject"] == "Booked: Lake Bcc: x@example.org"
