"""What guests leave."""

from typing import ClassVar

from django.db import models


class Entry(models.Model):
    """A line in the book, told apart by the key that its writer gave it."""

    key = models.CharField(max_length=64, unique=True)
    text = models.TextField()
    objects: ClassVar[models.Manager["Entry"]] = models.Manager()

    def __str__(self) -> str:
        return self.text


class Tick(models.Model):
    """The clock was alive."""

    at = models.DateTimeField(auto_now_add=True)
    objects: ClassVar[models.Manager["Tick"]] = models.Manager()

    def __str__(self) -> str:
        return f"{self.at}"
