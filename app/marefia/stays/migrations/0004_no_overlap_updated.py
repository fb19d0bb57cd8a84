"""On MariaDB no booking is changed into one that overlaps another (see 0003)."""

from functools import partial
from importlib import import_module

from django.db import migrations

inserted = import_module("marefia.stays.migrations.0003_no_overlap_inserted")


class Migration(migrations.Migration):
    dependencies = [("stays", "0003_no_overlap_inserted")]
    operations = [
        migrations.RunPython(
            partial(inserted.add, event="update"), partial(inserted.drop, event="update"), atomic=False
        )
    ]
