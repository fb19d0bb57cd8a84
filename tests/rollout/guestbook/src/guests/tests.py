"""The guestbook's own tests, as Django's runner finds them."""

from django.test import TestCase, TransactionTestCase

from guests.models import Entry


class Pages(TestCase):
    """What guests do."""

    def test_an_entry_is_kept(self) -> None:
        self.client.post("/entries", "a key", content_type="text/plain")
        assert Entry.objects.get(key="a key").text == "was here"


class Emptied(TransactionTestCase):
    """Afterwards the tables are emptied."""

    def test_the_book_begins_empty(self) -> None:
        assert Entry.objects.count() == 0
        Entry.objects.create(key="first", text="of all")
