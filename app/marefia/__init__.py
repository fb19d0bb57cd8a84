"""The service. Importing it makes the Celery application current, for `shared_task`."""

from marefia.celery import app as celery_app

__all__ = ["celery_app"]
