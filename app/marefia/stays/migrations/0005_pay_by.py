from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stays", "0004_no_overlap_updated")]

    operations = [
        migrations.AddField(
            model_name="booking",
            name="pay_by",
            field=models.DateTimeField(
                null=True,
                blank=True,
                help_text="until when it waits for its money; empty: paid, or nothing to pay",
            ),
        ),
    ]
