"""The Celery application of worker and scheduler."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_init, worker_ready
from django.conf import settings
from django_structlog.celery.steps import DjangoStructLogInitStep

from marefia import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marefia.settings")
broker.register()
app = Celery("marefia", amqp=broker.AMQP)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)


@setup_logging.connect
def keep_logging(**_: Any) -> None:
    """Leave logging as Django set it up: Celery configures it only when nobody answers this signal."""


@worker_init.connect
def make_folders(**_: Any) -> None:
    """Make the folders that a broker without a server needs."""
    broker.make_folders(settings.BROKER_DIR)


@worker_ready.connect
def tell_ready(**_: Any) -> None:
    """Touch the file that says that this worker takes work."""
    if settings.ENV.ready_file:
        settings.ENV.ready_file.touch()
