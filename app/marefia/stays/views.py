"""A guest's pages: browse, look, book, one's own bookings, a review."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.db.models import Avg, QuerySet
from django.forms import BaseForm
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from marefia.accounts.models import User
from marefia.stays import bookings, listings, nights, reviews
from marefia.stays.forms import BookingForm, ReviewForm, SearchForm
from marefia.stays.models import Booking, BookingStatus, Listing, Review

PERIODS = {"upcoming": "Upcoming", "past": "Past", "cancelled": "Cancelled"}
SENT_BEFORE = "You have booked with this form before: look at your bookings. Send it again to book once more."


def user_of(request: HttpRequest) -> User:
    """Return who is logged in, behind `login_required`."""
    assert isinstance(request.user, User)  # noqa: S101 - for the type checker; login_required has seen to it
    return request.user


def sent(request: HttpRequest) -> QueryDict | None:
    """Return what a form is bound to."""
    return request.POST if request.method == "POST" else None


def status_of(form: BaseForm) -> int:
    """Return 422 for a form that is shown again, with its errors."""
    return 422 if form.errors else 200


@require_safe
def browse(request: HttpRequest) -> HttpResponse:
    """`GET /?text=&place=&check_in=&check_out=&...&page=`: the places, twelve a page."""
    form = SearchForm(request.GET)
    found = listings.search(**form.cleaned_data) if form.is_valid() else Listing.objects.none()
    page = Paginator(found, 12).get_page(request.GET.get("page"))
    return render(request, "stays/browse.html", {"form": form, "page": page})


@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one place; POST books it."""
    found = get_object_or_404(
        Listing.objects.select_related("host")
        .prefetch_related("amenities")
        .annotate(rating=Avg("bookings__review__rating")),
        pk=pk,
    )
    said = {name: request.GET[name] for name in ("check_in", "check_out", "guests") if name in request.GET}
    form = BookingForm(sent(request), initial=said | {"reference": uuid.uuid4()})
    if request.method == "POST":
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if form.is_valid() and _book(request, found, form):
            return redirect("bookings")
        if "reference" in form.errors:
            form.renew()
    context = {
        "listing": found,
        "form": form,
        "own": request.user.is_authenticated and listings.may_change(request.user, found),
        "months": nights.months(found),
        "weekdays": nights.WEEKDAYS,
        "reviews": Review.objects.filter(booking__listing=found).select_related("booking__guest")[:20],
    }
    return render(request, "stays/listing.html", context, status=status_of(form))


def _book(request: HttpRequest, found: Listing, form: BookingForm) -> bool:
    wish = bookings.Wish(listing_id=found.pk, **form.cleaned_data)
    try:
        booking, _ = bookings.book(user_of(request), wish)
    except bookings.CannotBookError as error:
        if error.field == "reference":
            form.renew(SENT_BEFORE)
        else:
            form.add_error(error.field, str(error))
        return False
    except Listing.DoesNotExist as error:  # since it was looked up
        raise Http404 from error
    if booking.status == BookingStatus.CANCELLED:
        form.renew(SENT_BEFORE)
        return False
    messages.success(request, format_html("Booked: <bdi>{}</bdi>, {} ETB.", found.title, booking.total))
    return True


@login_required
@require_safe
def my_bookings(request: HttpRequest) -> HttpResponse:
    """`GET /bookings/?period=`: one's own."""
    own = (
        Booking.objects.filter(guest=user_of(request))
        .select_related("listing", "review")
        .prefetch_related("payments")
    )
    return show_bookings(request, own, "stays/bookings.html")


def show_bookings(request: HttpRequest, found: QuerySet[Booking], template: str) -> HttpResponse:
    """Show one period's bookings, twenty a page: upcoming (those whose stay is not over), past or cancelled."""
    period = request.GET.get("period", "")
    period = period if period in PERIODS else "upcoming"
    today = bookings.today()
    if period == "cancelled":
        found = found.filter(status=BookingStatus.CANCELLED)
    else:
        found = found.exclude(status=BookingStatus.CANCELLED)
        over = {"check_out__lte": today} if period == "past" else {"check_out__gt": today}
        found = found.filter(**over).order_by("-check_in" if period == "past" else "check_in", "id")
    page = Paginator(found, 20).get_page(request.GET.get("page"))
    return render(request, template, {"page": page, "today": today, "period": period, "periods": PERIODS})


@login_required
@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a booking back."""
    booking = get_object_or_404(Booking, pk=pk, guest=user_of(request))
    try:
        bookings.cancel(booking)
        messages.success(request, "Cancelled.")
    except bookings.CannotBookError as error:
        messages.error(request, str(error))
    return redirect("bookings")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def review(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the form for a stay, or store what it says."""
    booking = get_object_or_404(Booking.objects.select_related("listing"), pk=pk, guest=user_of(request))
    form = ReviewForm(sent(request))
    if request.method == "POST" and form.is_valid():
        try:
            reviews.review(user_of(request), booking, **form.cleaned_data)
            messages.success(request, "Thank you.")
            return redirect("listing", booking.listing_id)
        except reviews.CannotReviewError as error:
            form.add_error(None, str(error))
    return render(request, "stays/review.html", {"form": form, "booking": booking}, status=status_of(form))
