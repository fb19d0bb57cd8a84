"""The few pages: browse, look, book, and one's own bookings."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Avg, Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from marefia.accounts.models import User
from marefia.stays import bookings, reviews
from marefia.stays.forms import BookingForm, ReviewForm, SearchForm
from marefia.stays.models import Booking, Listing, Review


def user_of(request: HttpRequest) -> User:
    """Return who is logged in, behind `login_required`."""
    assert isinstance(request.user, User)  # noqa: S101 - for the type checker; login_required has seen to it
    return request.user


@require_safe
def browse(request: HttpRequest) -> HttpResponse:
    """`GET /?place=&page=`: the places, twelve a page."""
    form = SearchForm(request.GET)
    listings = Listing.objects.order_by("id")
    place = form.cleaned_data["place"] if form.is_valid() else ""
    if place:
        listings = listings.filter(place__icontains=place)
    page = Paginator(listings, 12).get_page(request.GET.get("page"))
    return render(request, "stays/browse.html", {"form": form, "place": place, "page": page})


@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one place; POST books it."""
    found = get_object_or_404(
        Listing.objects.select_related("host")
        .prefetch_related("amenities")
        .annotate(rating=Avg("bookings__review__rating")),
        pk=pk,
    )
    form = BookingForm(request.POST or None, initial={"reference": uuid.uuid4()})
    if request.method == "POST":
        if not request.user.is_authenticated:
            return redirect("login")
        if form.is_valid() and _book(request, found, form):
            return redirect("bookings")
    said = Review.objects.filter(booking__listing=found).select_related("booking__guest")[:20]
    return render(request, "stays/listing.html", {"listing": found, "form": form, "reviews": said})


def _book(request: HttpRequest, found: Listing, form: BookingForm) -> bool:
    wish = bookings.Wish(listing_id=found.pk, **form.cleaned_data)
    try:
        booking, _ = bookings.book(user_of(request), wish)
    except bookings.CannotBookError as error:
        form.add_error(None, str(error))
        return False
    messages.success(request, f"Booked: {booking.listing.title}, {booking.total} ETB.")
    return True


@login_required
@require_safe
def my_bookings(request: HttpRequest) -> HttpResponse:
    """Show one's own bookings, newest first."""
    own = Booking.objects.filter(guest=user_of(request)).select_related("listing")
    own = own.prefetch_related(Prefetch("review"))
    page = Paginator(own, 20).get_page(request.GET.get("page"))
    return render(request, "stays/bookings.html", {"page": page, "today": bookings.today()})


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
    form = ReviewForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            reviews.review(user_of(request), booking, **form.cleaned_data)
            return redirect("listing", booking.listing_id)
        except reviews.CannotReviewError as error:
            form.add_error(None, str(error))
    title = f"Your stay: {booking.listing.title}"
    return render(request, "accounts/form.html", {"form": form, "title": title, "action": "Say it"})
