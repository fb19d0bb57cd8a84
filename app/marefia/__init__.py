"""The service. Importing it makes the Celery application current, so that `shared_task` sends to our broker."""

from marefia.celery import app as celery_app

__all__ = ["celery_app"]
