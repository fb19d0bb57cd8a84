import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [("stays", "0006_booking_unpaid")]

    operations = [
        migrations.CreateModel(
            name="Payment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("tx_ref", models.CharField(max_length=50, unique=True, verbose_name="our reference")),
                (
                    "reference",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        max_length=100,
                        verbose_name="Chapa's reference",
                    ),
                ),
                ("amount", models.DecimalField(decimal_places=2, max_digits=9)),
                ("currency", models.CharField(db_default="ETB", default="ETB", max_length=3)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("new", "being prepared"),
                            ("open", "to be paid"),
                            ("paid", "Paid"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                            ("refunding", "being refunded"),
                            ("refunded", "Refunded"),
                            ("reversed", "Reversed"),
                        ],
                        db_default="new",
                        default="new",
                        max_length=10,
                    ),
                ),
                ("checkout_url", models.CharField(blank=True, db_default="", default="", max_length=500)),
                (
                    "trouble",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="what a person has to look at",
                        max_length=300,
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "asked_at",
                    models.DateTimeField(blank=True, help_text="when Chapa was last asked of it", null=True),
                ),
                (
                    "settled_at",
                    models.DateTimeField(
                        blank=True, help_text="when Chapa said what became of it", null=True
                    ),
                ),
                (
                    "refund_sent_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="when the refund was asked for: once, whatever the answer",
                        null=True,
                    ),
                ),
                (
                    "booking",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="payments",
                        to="stays.booking",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["new", "open"])),
                        fields=["created_at"],
                        name="payment_unsettled",
                    ),
                    models.Index(fields=["booking", "state"], name="payment_of_booking"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                [
                                    "new",
                                    "open",
                                    "paid",
                                    "failed",
                                    "cancelled",
                                    "refunding",
                                    "refunded",
                                    "reversed",
                                ],
                            )
                        ),
                        name="payment_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount__gt", 0)), name="payment_amount_is_positive"
                    ),
                ],
            },
        ),
    ]
