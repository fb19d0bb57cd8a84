"""Which nights of a listing are free."""

import calendar
import datetime
from dataclasses import dataclass

from marefia.stays.bookings import overlapping, today
from marefia.stays.models import Listing

WEEKDAYS = calendar.day_name


@dataclass(frozen=True, slots=True)
class Night:
    """The night that begins on a day; `state` is past, booked or free."""

    day: str  # of the month; a text, since a template takes longer over a number
    state: str


@dataclass(frozen=True, slots=True)
class Month:
    """Weeks of seven, from Monday on; None where a day is another month's."""

    begins: datetime.date
    weeks: list[list[Night | None]]


def months(listing: Listing, count: int = 3) -> list[Month]:
    """Return this month and those after it, in one query."""
    now = today()
    counted = (now.year * 12 + now.month - 1 + number for number in range(count + 1))
    *begin, end = [datetime.date(number // 12, number % 12 + 1, 1) for number in counted]
    booked = _booked(listing, now, end)

    def night(date: datetime.date) -> Night:
        return Night(str(date.day), "past" if date < now else "booked" if date in booked else "free")

    return [
        Month(first, [[night(day) if day.month == first.month else None for day in week] for week in weeks])
        for first in begin
        for weeks in [calendar.Calendar().monthdatescalendar(first.year, first.month)]
    ]


def _booked(listing: Listing, begin: datetime.date, end: datetime.date) -> set[datetime.date]:
    stays = overlapping(begin, end).filter(listing=listing).values_list("check_in", "check_out")
    return {
        datetime.date.fromordinal(day)
        for check_in, check_out in stays
        for day in range(max(check_in, begin).toordinal(), min(check_out, end).toordinal())
    }
