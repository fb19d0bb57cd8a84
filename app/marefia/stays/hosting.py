"""A host's pages: the own places, and who booked them."""

from collections.abc import Callable
from functools import wraps

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from marefia.stays import listings
from marefia.stays.forms import ListingForm
from marefia.stays.models import Booking, Listing
from marefia.stays.views import sent, show_bookings, status_of, user_of


def host_required(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Let hosts in; answer 403 to guests, and ask others to log in."""

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: int) -> HttpResponse:
        if not user_of(request).is_host:
            raise PermissionDenied
        return view(request, **kwargs)

    return guarded


@host_required
@require_safe
def my_listings(request: HttpRequest) -> HttpResponse:
    """`GET /hosting/`: one's own places, twenty a page."""
    own = Listing.objects.filter(host=user_of(request)).order_by("id")
    page = Paginator(own, 20).get_page(request.GET.get("page"))
    return render(request, "stays/hosting.html", {"page": page})


@host_required
@require_safe
def my_guests(request: HttpRequest) -> HttpResponse:
    """`GET /hosting/bookings/?period=`: the bookings of one's own places."""
    found = Booking.objects.filter(listing__host=user_of(request)).select_related("listing", "guest")
    return show_bookings(request, found, "stays/guests.html")


@host_required
@require_http_methods(["GET", "HEAD", "POST"])
def add_listing(request: HttpRequest) -> HttpResponse:
    """Offer a place."""
    form = ListingForm(sent(request))
    if form.is_valid():
        added = listings.offer(user_of(request), **form.cleaned_data)
        messages.success(request, "Your place is there for all to see.")
        return redirect("listing", added.pk)
    return render(request, "stays/edit.html", {"form": form}, status=status_of(form))


@host_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit_listing(request: HttpRequest, pk: int) -> HttpResponse:
    """Change one's own place."""
    own = get_object_or_404(Listing, pk=pk, host=user_of(request))
    title = own.title  # as stored: the form writes what was typed into the object
    form = ListingForm(sent(request), instance=own)
    if form.is_valid():
        try:
            listings.change(user_of(request), pk, **form.cleaned_data)
        except (listings.NotAllowedError, Listing.DoesNotExist) as error:  # since it was looked up
            raise Http404 from error
        messages.success(request, "Changed.")
        return redirect("listing", pk)
    context = {"form": form, "listing": own, "listing_title": title}
    return render(request, "stays/edit.html", context, status=status_of(form))
