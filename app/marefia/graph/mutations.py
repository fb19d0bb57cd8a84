"""What guests do. A payload has what was done, or errors: then nothing is stored."""

import uuid
from typing import Any

import graphene
from graphene import relay
from graphql import GraphQLError, GraphQLResolveInfo

from marefia.accounts.models import User
from marefia.graph import types
from marefia.graph.context import in_thread
from marefia.graph.nodes import parts
from marefia.payments import checkout, ledger
from marefia.stays import bookings, reviews
from marefia.stays.forms import ReviewForm
from marefia.stays.models import Booking, Listing

Info = GraphQLResolveInfo
Done = dict[str, Any]


class ErrorCode(graphene.Enum):
    """What kind of error."""

    UNAUTHENTICATED = "unauthenticated"
    INVALID = "invalid"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    UNAVAILABLE = "unavailable"


class UserError(graphene.ObjectType):
    """Why something was not done, fit for the guest."""

    field = graphene.String(description="of the input, when one is to blame")
    code = ErrorCode(required=True)
    message = graphene.String(required=True)


class RefusedError(Exception):
    """Errors for the payload."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.errors = [{"field": field, "code": code, "message": message}]


class Mutation(relay.ClientIDMutation):
    """What all have in common."""

    class Meta:
        abstract = True

    errors = graphene.List(graphene.NonNull(UserError), required=True)

    @classmethod
    async def mutate_and_get_payload(cls, _root: None, info: Info, **wanted: Any) -> Any:
        """Do it in the request's thread, in a transaction of its own."""
        info.context.loaders.clear()  # what they know may be from before
        user = info.context.user
        try:
            if not isinstance(user, User):
                raise RefusedError("unauthenticated", "Log in first.")
            done = await in_thread(cls.act, user, wanted, info.context.origin)
        except RefusedError as error:
            return cls(errors=error.errors)
        return cls(errors=[], **done)

    @staticmethod
    def act(user: User, wanted: Done, origin: str) -> Done:
        """Return the payload's fields; raise RefusedError. `origin` is this site's, as the guest knows it."""
        raise NotImplementedError


class Book(Mutation):
    """Book. `clientMutationId` is a UUID, the booking's reference: sent again, it finds the same booking."""

    class Input:
        listing = graphene.ID(required=True)
        check_in = graphene.Date(required=True)
        check_out = graphene.Date(required=True)
        guests = graphene.Int(required=True)

    booking = graphene.Field(types.Booking)

    @staticmethod
    def act(user: User, wanted: Done, _origin: str) -> Done:
        """Book, once for each reference."""
        wish = bookings.Wish(
            listing_id=_key(wanted["listing"], "Listing", "listing"),
            check_in=wanted["check_in"],
            check_out=wanted["check_out"],
            guests=wanted["guests"],
            reference=_reference(wanted.get("client_mutation_id")),
        )
        try:
            return {"booking": bookings.book(user, wish)[0]}
        except bookings.ConflictError as error:
            raise RefusedError("conflict", str(error)) from error
        except bookings.CannotBookError as error:
            raise RefusedError("invalid", str(error)) from error
        except Listing.DoesNotExist as error:
            raise RefusedError("not_found", "There is no such listing.", "listing") from error


class CancelBooking(Mutation):
    """Give the nights back. Cancelling twice is cancelling once."""

    class Input:
        booking = graphene.ID(required=True)

    booking = graphene.Field(types.Booking)

    @staticmethod
    def act(user: User, wanted: Done, _origin: str) -> Done:
        """Cancel one's own."""
        try:
            return {"booking": bookings.cancel(_own_booking(user, wanted["booking"]))}
        except bookings.ConflictError as error:
            raise RefusedError("conflict", str(error)) from error


class PayBooking(Mutation):
    """Begin to pay. `payment.checkoutUrl` is the page on which a guest does; asked again it is the same one."""

    class Input:
        booking = graphene.ID(required=True)

    payment = graphene.Field(types.Payment)
    booking = graphene.Field(types.Booking)

    @staticmethod
    def act(user: User, wanted: Done, origin: str) -> Done:
        """Pay one's own."""
        booking = _own_booking(user, wanted["booking"])
        try:
            return {"payment": checkout.begin(booking, origin), "booking": booking}
        except ledger.ChapaAwayError as error:
            raise RefusedError("unavailable", str(error)) from error
        except ledger.CannotPayError as error:
            raise RefusedError("conflict", str(error)) from error


class ReviewStay(Mutation):
    """Say what a stay was like, when it is over."""

    class Input:
        booking = graphene.ID(required=True)
        rating = graphene.Int(required=True, description="1 to 5")
        text = graphene.String()

    review = graphene.Field(types.Review)
    booking = graphene.Field(types.Booking)

    @staticmethod
    def act(user: User, wanted: Done, _origin: str) -> Done:
        """Review one's own, once."""
        booking = _own_booking(user, wanted["booking"])
        form = ReviewForm({"rating": wanted["rating"], "text": wanted.get("text") or ""})
        if not form.is_valid():
            field, messages = next(iter(form.errors.items()))
            raise RefusedError("invalid", " ".join(map(str, messages)), field)
        try:
            return {"review": reviews.review(user, booking, **form.cleaned_data), "booking": booking}
        except reviews.CannotReviewError as error:
            raise RefusedError("conflict", str(error)) from error


class Mutations(graphene.ObjectType):
    """What guests do; several run one after the other, each in a transaction of its own.

    None is required to have a payload: one that fails leaves what the others did.
    """

    class Meta:
        name = "Mutation"

    book = Book.Field()
    cancel_booking = CancelBooking.Field()
    pay_booking = PayBooking.Field()
    review = ReviewStay.Field()


def _key(global_id: str, of: str, field: str) -> int:
    try:
        name, key = parts(global_id)
    except GraphQLError:
        name = ""
    if name != of:
        raise RefusedError("not_found", f"This is not the id of a {of.lower()}.", field)
    return key


def _reference(client_mutation_id: str | None) -> uuid.UUID:
    if client_mutation_id is None:
        return uuid.uuid4()
    try:
        return uuid.UUID(client_mutation_id)
    except ValueError as error:
        raise RefusedError("invalid", "This is no UUID.", "clientMutationId") from error


def _own_booking(user: User, global_id: str) -> Booking:
    found = Booking.objects.filter(pk=_key(global_id, "Booking", "booking"), guest=user)
    booking = found.select_related("guest__profile", "listing").first()
    if booking is None:
        raise RefusedError("not_found", "You have no such booking.", "booking")
    return booking
