"""What the graph consists of. What takes another query may be null, so that its failing takes nothing else along."""
# Resolvers are static methods: Graphene calls them with the row, and `load` gathers what many rows need.

from collections.abc import Awaitable
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from marefia.accounts.models import Role as RoleChoices
from marefia.accounts.models import User
from marefia.graph import rows
from marefia.graph.context import load
from marefia.graph.nodes import Node
from marefia.graph.pages import Connection, Page, connection
from marefia.graph.scalars import Money
from marefia.payments.models import Payment as PaymentModel
from marefia.payments.states import State as PaymentStates
from marefia.stays import models

Info = GraphQLResolveInfo
BookingStatus = graphene.Enum.from_enum(models.BookingStatus, description=lambda _: None)
PaymentState = graphene.Enum.from_enum(PaymentStates, name="PaymentState", description=lambda _: None)
Role = graphene.Enum.from_enum(RoleChoices, description=lambda _: None)


class Amenity(graphene.ObjectType):
    """Something that listings offer."""

    class Meta:
        interfaces = (Node,)
        possible_types = (models.Amenity,)

    name = graphene.String(required=True)

    @staticmethod
    def get_node(info: Info, pk: int) -> Awaitable[Any]:
        """Return the one with this key."""
        return load(info, rows.amenities, pk)


class Review(graphene.ObjectType):
    """What a guest said after a stay."""

    class Meta:
        interfaces = (Node,)
        possible_types = (models.Review,)

    rating = graphene.Int(required=True, description="1 to 5")
    text = graphene.String(required=True)
    author = graphene.String(required=True, description="the guest's name")
    created_at = graphene.DateTime(required=True)

    @staticmethod
    def resolve_author(review: models.Review, _info: Info) -> str:
        """The address is private."""
        return review.booking.guest.get_full_name()

    @staticmethod
    def get_node(info: Info, pk: int) -> Awaitable[Any]:
        """Return the one with this key."""
        return load(info, rows.reviews, pk)


class ReviewConnection(Connection):
    """Reviews, newest first."""

    class Meta:
        node = Review


class Host(graphene.ObjectType):
    """Who offers listings."""

    class Meta:
        interfaces = (Node,)
        possible_types = (User,)

    name = graphene.String(required=True)
    listings = connection(lambda: ListingConnection)

    @staticmethod
    def resolve_name(host: User, _info: Info) -> str:
        """The address is private."""
        return host.get_full_name()

    @staticmethod
    def resolve_listings(host: User, info: Info, **asked: Any) -> Awaitable[Any]:
        """What is offered, newest first."""
        return load(info, rows.listings_of_hosts, host.pk, Page(rows.NEWEST_LISTINGS, **asked))

    @staticmethod
    def get_node(info: Info, pk: int) -> Awaitable[Any]:
        """Return the one with this key."""
        return load(info, rows.hosts, pk)


class Listing(graphene.ObjectType):
    """A place to stay."""

    class Meta:
        interfaces = (Node,)
        possible_types = (models.Listing,)

    title = graphene.String(required=True)
    place = graphene.String(required=True)
    description = graphene.String(required=True)
    price = Money(required=True, description="a night")
    capacity = graphene.Int(required=True, description="guests at most")
    nights_booked = graphene.Int(required=True)
    created_at = graphene.DateTime(required=True)
    amenities = graphene.List(graphene.NonNull(Amenity), description="by name")
    host = graphene.Field(Host)
    reviews = connection(ReviewConnection)

    @staticmethod
    def resolve_amenities(listing: models.Listing, info: Info) -> Awaitable[Any]:
        """What it offers."""
        return load(info, rows.amenities_of_listings, listing.pk)

    @staticmethod
    def resolve_host(listing: models.Listing, info: Info) -> Awaitable[Any]:
        """Whose it is."""
        return load(info, rows.hosts, listing.host_id)

    @staticmethod
    def resolve_reviews(listing: models.Listing, info: Info, **asked: Any) -> Awaitable[Any]:
        """What its guests said."""
        return load(info, rows.reviews_of_listings, listing.pk, Page(rows.NEWEST_REVIEWS, **asked))

    @staticmethod
    def get_node(info: Info, pk: int) -> Awaitable[Any]:
        """Return the one with this key."""
        return load(info, rows.listings, pk)


class ListingConnection(Connection):
    """Listings, in the order asked for."""

    class Meta:
        node = Listing


class Payment(graphene.ObjectType):
    """An attempt to pay a booking; only its guest sees it."""

    class Meta:
        interfaces = (Node,)
        possible_types = (PaymentModel,)

    tx_ref = graphene.String(required=True, description="ours, as Chapa and its receipts name it")
    amount = Money(required=True)
    currency = graphene.String(required=True)
    state = PaymentState(required=True)
    checkout_url = graphene.String(description="where it is paid, while it is open")
    created_at = graphene.DateTime(required=True)
    settled_at = graphene.DateTime(description="when Chapa said what became of it")

    @staticmethod
    def resolve_checkout_url(payment: PaymentModel, _info: Info) -> str | None:
        """Nobody is sent where nothing can be paid."""
        return payment.checkout_url if payment.state == PaymentStates.OPEN else None

    @staticmethod
    def get_node(info: Info, pk: int) -> Awaitable[Any]:
        """Return the one with this key, if it is one's own."""
        return load(info, rows.payments_of, pk, info.context.user.pk)


class Booking(graphene.ObjectType):
    """A booking; only its guest sees it."""

    class Meta:
        interfaces = (Node,)
        possible_types = (models.Booking,)

    reference = graphene.UUID(required=True)
    check_in = graphene.Date(required=True)
    check_out = graphene.Date(required=True)
    guests = graphene.Int(required=True)
    total = Money(required=True, description="as agreed when it was booked")
    status = BookingStatus(required=True)
    created_at = graphene.DateTime(required=True)
    pay_by = graphene.DateTime(description="until when it waits for its money; null: paid, or nothing to pay")
    listing = graphene.Field(Listing)
    payments = graphene.List(graphene.NonNull(Payment), description="newest first")
    review = graphene.Field(Review, description="null until its guest has said something")

    @staticmethod
    def resolve_listing(booking: models.Booking, info: Info) -> Awaitable[Any]:
        """What is booked."""
        return load(info, rows.listings, booking.listing_id)

    @staticmethod
    def resolve_payments(booking: models.Booking, info: Info) -> Awaitable[Any]:
        """The attempts to pay it."""
        return load(info, rows.payments_of_bookings, booking.pk)

    @staticmethod
    def resolve_review(booking: models.Booking, info: Info) -> Awaitable[Any]:
        """What its guest said."""
        return load(info, rows.reviews_of_bookings, booking.pk)

    @staticmethod
    def get_node(info: Info, pk: int) -> Awaitable[Any]:
        """Return the one with this key, if it is one's own."""
        return load(info, rows.bookings_of, pk, info.context.user.pk)


class BookingConnection(Connection):
    """Bookings, newest first."""

    class Meta:
        node = Booking


class Viewer(graphene.ObjectType):
    """Who asks."""

    email = graphene.String(required=True)
    name = graphene.String(required=True)
    role = Role()
    phone = graphene.String()
    bookings = connection(BookingConnection, status=BookingStatus())

    @staticmethod
    def resolve_name(user: User, _info: Info) -> str:
        """First and last."""
        return user.get_full_name()

    @staticmethod
    def resolve_role(user: User, _info: Info) -> str | None:
        """What for."""
        return getattr(getattr(user, "profile", None), "role", None)

    @staticmethod
    def resolve_phone(user: User, _info: Info) -> str | None:
        """Seen by nobody else."""
        return getattr(getattr(user, "profile", None), "phone", None)

    @staticmethod
    def resolve_bookings(user: User, info: Info, status: Any = None, **asked: Any) -> Awaitable[Any]:
        """One's own."""
        page = Page(rows.NEWEST_BOOKINGS, **asked)
        return load(info, rows.bookings_of_guests, user.pk, page, status and status.value)
