from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stays", "0005_pay_by")]

    operations = [
        migrations.AddIndex(
            model_name="booking",
            index=models.Index(
                condition=models.Q(pay_by__isnull=False), fields=["pay_by"], name="booking_unpaid"
            ),
        ),
    ]
