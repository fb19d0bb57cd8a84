"""The guestbook's settings: other names, another shape than the repository's own service."""

import os
from pathlib import Path

SECRET_KEY = os.environ["SECRET_KEY"]
GREETING = os.environ["GREETING"]
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "guestbook.example"]
ROOT_URLCONF = "guests.urls"
INSTALLED_APPS = ["guests"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": Path(os.environ["DATA_DIR"]) / "book.db",
    "OPTIONS": {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    },
}
POSTGRESQL = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ.get("DATABASE_HOST"),
    "NAME": os.environ.get("DATABASE_NAME", "marefia-guests"),
    "CONN_MAX_AGE": 60,
    "CONN_HEALTH_CHECKS": True,
}
DATABASES = {"default": POSTGRESQL if POSTGRESQL["HOST"] else SQLITE}
