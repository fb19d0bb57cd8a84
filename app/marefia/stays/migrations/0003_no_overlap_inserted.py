"""On MariaDB no two confirmed bookings of a listing overlap, whoever inserts them; 0004 is for updates.

Each holds one operation: MariaDB's DDL knows no transaction. The listing's lock makes two who insert at once wait for
each other, and a locking read sees what the first has committed. Another database keeps the rule another way (0002).
"""

from typing import Any

from django.db import migrations

NAME = "booking_no_overlap"
CREATE = """
CREATE TRIGGER {name}_{event} BEFORE {event} ON stays_booking FOR EACH ROW
BEGIN
    IF NEW.status = 'confirmed' THEN
        SELECT id INTO @booking_listing FROM stays_listing WHERE id = NEW.listing_id FOR UPDATE;
        IF EXISTS (
            SELECT 1 FROM stays_booking WHERE listing_id = NEW.listing_id AND status = 'confirmed'
            AND check_in < NEW.check_out AND check_out > NEW.check_in AND id <> {own} LOCK IN SHARE MODE
        ) THEN
            SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 1062, MESSAGE_TEXT = '{name}';
        END IF;
    END IF;
END
"""


def add(apps: Any, editor: Any, event: str = "insert") -> None:
    """Add the trigger for an event."""
    if editor.connection.vendor == "mysql":
        editor.execute(CREATE.format(name=NAME, event=event, own="OLD.id" if event == "update" else "0"))


def drop(apps: Any, editor: Any, event: str = "insert") -> None:
    """Drop it."""
    if editor.connection.vendor == "mysql":
        editor.execute(f"DROP TRIGGER IF EXISTS {NAME}_{event}")


class Migration(migrations.Migration):
    dependencies = [("stays", "0002_no_overlap")]
    operations = [migrations.RunPython(add, drop, atomic=False)]
