import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_payment")]

    operations = [
        migrations.CreateModel(
            name="PaymentEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "digest",
                    models.CharField(
                        help_text="of the body, and of whether Chapa signed it", max_length=64, unique=True
                    ),
                ),
                ("body", models.BinaryField()),
                ("kind", models.CharField(blank=True, db_default="", default="", max_length=50)),
                (
                    "tx_ref",
                    models.CharField(blank=True, db_default="", db_index=True, default="", max_length=50),
                ),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("received", "received, not looked at yet"),
                            ("done", "looked at"),
                            ("rejected", "Rejected"),
                        ],
                        db_default="received",
                        default="received",
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(blank=True, db_default="", default="", max_length=300)),
                ("deliveries", models.PositiveIntegerField(db_default=1, default=1)),
                (
                    "received_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["verdict", "received_at"], name="event_by_verdict")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("verdict__in", ["received", "done", "rejected"])),
                        name="event_verdict_is_known",
                    )
                ],
            },
        ),
    ]
