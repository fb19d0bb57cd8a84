"""`manage.py demo`: something to click through."""

import datetime
import random
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from marefia.accounts.models import Role, User
from marefia.stays.bookings import today
from marefia.stays.models import Amenity, Booking, Listing, Review

PASSWORD = "marefia-demo"  # noqa: S105 - documented, and refused outside of dev  # pragma: allowlist secret
ADMIN = "admin@example.org"
HOSTS = [("Almaz", "Tesfaye"), ("Bekele", "Worku"), ("Chaltu", "Gemechu")]
GUESTS = [
    ("Dawit", "Alemu"),
    ("Eden", "Haile"),
    ("Fikru", "Desta"),
    ("Genet", "Abebe"),
    ("Hana", "Girma"),
    ("Ibrahim", "Ahmed"),
    ("Jemal", "Nuru"),
    ("Kidist", "Mulu"),
]
TOWNS = [
    "Addis Ababa",
    "Adama",
    "Arba Minch",
    "Axum",
    "Bahir Dar",
    "Dire Dawa",
    "Gondar",
    "Harar",
    "Hawassa",
    "Jimma",
    "Lalibela",
    "Mekelle",
]
KINDS = [("Quiet room", 700, 2), ("Garden house", 1900, 5), ("Flat with a view", 1300, 3)]
AMENITIES = [
    "Wi-Fi",
    "Breakfast",
    "Hot water",
    "Parking",
    "Kitchen",
    "Garden",
    "Coffee ceremony",
    "Generator",
]
WORDS = [
    "Clean, calm, and the coffee is superb.",
    "We would come again.",
    "Friendly hosts, short way to town.",
]


class Command(BaseCommand):
    """Loads it once; again, it changes nothing."""

    help = (
        f"Load demo data, once: {ADMIN}, host1 to host3 and guest1 to guest8@example.org, "
        f"password {PASSWORD}. Refuses outside of the environment dev."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Load everything in one transaction, or nothing."""
        if settings.ENV.name != "dev":
            raise CommandError(f"demo data is for the environment dev, not for {settings.ENV.name}")
        with transaction.atomic():
            if User.objects.filter(email=ADMIN).exists():
                self.stdout.write("The demo data is there.")
                return
            load(random.Random(1))  # noqa: S311 - the same demo each time
        self.stdout.write(f"Demo data loaded: log in as {ADMIN} or guest1@example.org, password {PASSWORD}.")


def load(dice: random.Random) -> None:
    """Store users, listings, bookings and reviews, drawn with `dice`."""
    password = make_password(PASSWORD)  # hashing costs a third of a second: once for all
    _user(ADMIN, "Abeba", "Admin", password, is_staff=True, is_superuser=True)
    hosts = [_user(f"host{n}@example.org", *name, password, Role.HOST) for n, name in enumerate(HOSTS, 1)]
    guests = [_user(f"guest{n}@example.org", *name, password) for n, name in enumerate(GUESTS, 1)]
    amenities = [Amenity.objects.create(name=name) for name in AMENITIES]
    for number in range(30):
        kind, price, capacity = KINDS[number % len(KINDS)]
        listing = Listing.objects.create(
            host=hosts[number % len(hosts)],
            title=f"{kind} {number + 1}",
            place=TOWNS[number % len(TOWNS)],
            description=f"{kind} in {TOWNS[number % len(TOWNS)]}. Ten minutes on foot from the centre.",
            price=Decimal(price + dice.randrange(0, 400, 50)),
            capacity=capacity,
        )
        listing.amenities.set(dice.sample(amenities, 4))
        if number % 3 == 0:
            _stays(listing, dice.choice(guests), dice)
    _stay(listing, guests[0], begins=-20, nights=3)  # which guest1 can review


def _user(
    email: str, first_name: str, last_name: str, password: str, role: str = Role.GUEST, **rights: Any
) -> User:
    user = User.objects.create_user(email, role=role, first_name=first_name, last_name=last_name, **rights)
    User.objects.filter(pk=user.pk).update(password=password)
    return user


def _stays(listing: Listing, guest: User, dice: random.Random) -> None:
    """A stay that is over, with its review, and one that is to come; their nights are counted at once."""
    for begins in (-30, 7):
        booking = _stay(listing, guest, begins + dice.randrange(5), dice.randrange(1, 6))
        if begins < 0:
            Review.objects.create(booking=booking, rating=dice.randrange(3, 6), text=dice.choice(WORDS))


def _stay(listing: Listing, guest: User, begins: int, nights: int) -> Booking:
    """One that begins in so many days."""
    check_in = today() + datetime.timedelta(days=begins)
    listing.nights_booked += nights
    listing.save(update_fields=["nights_booked"])
    return Booking.objects.create(
        listing=listing,
        guest=guest,
        check_in=check_in,
        check_out=check_in + datetime.timedelta(days=nights),
        guests=1,
        total=listing.price * nights,
    )
