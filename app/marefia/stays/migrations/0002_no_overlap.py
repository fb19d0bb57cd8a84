"""On PostgreSQL no two confirmed bookings of a listing overlap, whoever writes them.

In Python, since other databases have no such constraint. Releases that do not know it can live with it: they keep
the same rule by a lock.
"""

from typing import Any

from django.db import migrations

ADD = """
ALTER TABLE stays_booking ADD CONSTRAINT booking_no_overlap
EXCLUDE USING gist (listing_id WITH =, daterange(check_in, check_out) WITH &&) WHERE (status = 'confirmed')
"""


def add(apps: Any, editor: Any) -> None:
    """Add the constraint; its extension is one that a database's owner may create."""
    if editor.connection.vendor == "postgresql":
        editor.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
        editor.execute(ADD)


def drop(apps: Any, editor: Any) -> None:
    """Drop the constraint."""
    if editor.connection.vendor == "postgresql":
        editor.execute("ALTER TABLE stays_booking DROP CONSTRAINT booking_no_overlap")


class Migration(migrations.Migration):
    dependencies = [("stays", "0001_initial")]
    operations = [migrations.RunPython(add, drop)]
