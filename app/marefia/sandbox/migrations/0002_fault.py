from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sandbox", "0001_transaction")]

    operations = [
        migrations.CreateModel(
            name="Fault",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("down", "503, and nothing was done"),
                            ("lost", "502, and it was done"),
                            ("slow", "answers after some seconds"),
                            ("garbage", "answers a page"),
                        ],
                        max_length=10,
                    ),
                ),
                ("left", models.PositiveIntegerField(default=1, help_text="calls")),
                ("seconds", models.FloatField(default=5, help_text="of a slow answer")),
            ],
            options={
                "verbose_name": "sandbox fault",
            },
        ),
    ]
