"""Who may act as the scheduler, and when each schedule last ran."""

from django.db import models


class Lease(models.Model):
    """A right that one process holds at a time. Expired is free. `number` grows with each holder."""

    name = models.CharField(max_length=50, primary_key=True)
    holder = models.CharField(max_length=100)
    number = models.PositiveBigIntegerField(default=0, db_default=0)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder} until {self.expires_at}"


class ScheduledRun(models.Model):
    """The last run of an entry of the schedule, whichever process started it."""

    name = models.CharField(max_length=100, primary_key=True)
    last_run_at = models.DateTimeField()
    runs = models.PositiveBigIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.last_run_at}"
