"""The daily clean-up: a part that keeps what expires receives this and deletes it."""

from django.dispatch import Signal

expired = Signal()
