"""Django's settings, from the environment (marefia/environment.py); a wrong one ends the process."""

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

from marefia import logs
from marefia.environment import read_or_exit
from marefia.sandbox import keys

ENV = read_or_exit()
APP_DIR = Path(__file__).resolve().parent

SECRET_KEY = ENV.secret_key
DEBUG = False
ALLOWED_HOSTS = list(ENV.allowed_hosts)
ROOT_URLCONF = "marefia.urls"
WSGI_APPLICATION = "marefia.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "marefia.outbox",
    "marefia.accounts",
    "marefia.stays",
    "marefia.sandbox",
    "marefia.payments",
    "marefia.api",
    "marefia.graph",
    "marefia.ops",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_filters",
    "django_structlog",
    "drf_spectacular",
    "knox",
    "rest_framework",
]

MIDDLEWARE = [
    "marefia.ops.middleware.ObserveMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "marefia.ops.middleware.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "marefia.ops.middleware.DatabaseAwayMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [APP_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# -- database

AWAY_AFTER = {  # libpq's names; seconds, but for the last one: milliseconds
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


# PyMySQL: it needs no headers and no compiler. Strict: what does not fit is refused, not cut off. READ COMMITTED, as on
# PostgreSQL: after the wait for a lock a transaction sees what the other one did, and no gaps are locked.
MARIADB_SESSION = (
    "sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
    "time_zone = '+00:00'",
    "innodb_lock_wait_timeout = 30",
)
MARIADB = {"charset": "utf8mb4", "isolation_level": "read committed", "connect_timeout": 3}
MARIADB_ANSWERS_WITHIN = 60  # seconds; PyMySQL has no other way to notice that a server is away


def _mariadb(said: dict[str, Any], session: str) -> dict[str, Any]:
    """MariaDB's options. Who says limits for the session is bound by those and not by ours."""
    import pymysql

    pymysql.install_as_MySQLdb()
    timeouts = {} if session else dict.fromkeys(("read_timeout", "write_timeout"), MARIADB_ANSWERS_WITHIN)
    init = f"SET {', '.join(MARIADB_SESSION)}{session and ', ' + session}"
    return MARIADB | timeouts | said | {"init_command": init}


def _database(parsed: dict[str, Any], data_dir: Path, mysql: tuple[str, str]) -> dict[str, Any]:
    """Complete what DATABASE_URL says. SQLite: a relative path is in the data folder.

    WAL lets readers go on beside the one writer; IMMEDIATE takes the write lock when a transaction begins, so
    none fails half-way for having read first; FULL syncs each commit: acknowledged rows outlive power cuts.
    A server that does not answer is away after seconds, not after the minutes that TCP has for it.
    Options of the URL win over ours, but for the command that makes a session what the service relies on.
    """
    said = parsed.get("OPTIONS", {})
    done = parsed | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    if "postgresql" in parsed["ENGINE"]:
        return done | {"OPTIONS": AWAY_AFTER | said}
    if "mysql" in parsed["ENGINE"]:
        password, session = mysql
        password = parsed.get("PASSWORD") or password
        # As bytes: a str goes to the server as Latin-1, whatever it was set as.
        return done | {"OPTIONS": _mariadb(said, session), "PASSWORD": password.encode()}
    init = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    options = {"transaction_mode": "IMMEDIATE", "timeout": 30} | said | {"init_command": init}
    return done | {"NAME": str(data_dir / parsed["NAME"]), "OPTIONS": options}


DATABASES = {"default": _database(ENV.database, ENV.data_dir, (ENV.mysql_password, ENV.mysql_session))}

# -- accounts

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "listings"
LOGOUT_REDIRECT_URL = "listings"

CSRF_TRUSTED_ORIGINS = list(ENV.trusted_origins)
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = ENV.https
SECURE_HSTS_SECONDS = 31_536_000 if ENV.https else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.https else None

# A form may not lead elsewhere either: browsers hold a redirect after it to `form-action`, too.
SECURE_CSP = {
    "default-src": ["'self'"],
    "base-uri": ["'none'"],
    # Whoever presses Pay is sent to Chapa's page, which a browser takes for a part of the form.
    "form-action": ["'self'", "https://checkout.chapa.co"],
    "frame-ancestors": ["'none'"],
    "object-src": ["'none'"],
}

# -- mail

for _key, _value in ENV.mail.items():
    globals()[_key] = _value
if EMAIL_FILE_PATH := ENV.mail["EMAIL_FILE_PATH"]:
    EMAIL_FILE_PATH = str(ENV.data_dir / EMAIL_FILE_PATH)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = ENV.mail_from

# -- payments

SANDBOX = ENV.chapa_url == "sandbox:"
CHAPA_URL, CHAPA_KEY, CHAPA_WEBHOOK_SECRET = ENV.chapa_url, ENV.chapa_key, ENV.chapa_webhook_secret
if SANDBOX:
    CHAPA_KEY, CHAPA_WEBHOOK_SECRET = keys.of(SECRET_KEY)
PAYMENTS = bool(CHAPA_URL and CHAPA_KEY)

# -- language and time

LANGUAGE_CODE = "en"
TIME_ZONE = "Africa/Addis_Ababa"
USE_TZ = True
USE_I18N = False

# -- static files: what this release collected (marefia/ops/static.py has those of its neighbours)

STATIC_URL = "/static/"
STATIC_ROOT = str(ENV.static_root)
STATIC_SHARED = ENV.static_shared
STATICFILES_DIRS = [APP_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "marefia.ops.static.Storage"},
}
MEDIA_ROOT = str(ENV.data_dir / "media")

# -- API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "marefia.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "DEFAULT_PARSER_CLASSES": ["marefia.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.NamespaceVersioning",
    "DEFAULT_METADATA_CLASS": None,  # what OPTIONS would say stands in the schema
    "DEFAULT_THROTTLE_CLASSES": ["marefia.api.throttles.Throttle"],
    "DEFAULT_THROTTLE_RATES": {
        "login": "20/min",  # of one account, from one address
        "login_address": "300/min",
        "read": "6000/min",
        "read_address": "120000/min",
        "write": "600/min",
    },
    "NUM_PROXIES": 0,  # an address is the peer's: X-Forwarded-For is what anybody writes
    "EXCEPTION_HANDLER": "marefia.api.problems.handle",
}
REST_KNOX = {"TOKEN_TTL": timedelta(days=30)}
SPECTACULAR_SETTINGS = {
    "TITLE": "Marefia",
    "DESCRIPTION": "Short stays: listings, bookings and reviews.",
    "VERSION": "2",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v[0-9]+",
    "DEFAULT_GENERATOR_CLASS": "marefia.api.schema.AllVersions",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {"CancelledEnum": ["cancelled"]},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "marefia.api.schema.add_problems",
    ],
}

# -- work outside of requests

BROKER_DIR = ENV.data_dir / "broker"
CELERY_BROKER_URL = ENV.broker_url
# Not in the URL, which Celery's command line reads from the environment once more.
CELERY_BROKER_PASSWORD = ENV.broker_password
if ENV.broker_url.startswith("filesystem:"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(BROKER_DIR / "queue"),
        "data_folder_out": str(BROKER_DIR / "queue"),
        "control_folder": str(BROKER_DIR / "control"),
        "polling_interval": 0.2,
    }
else:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "max_retries": 0,  # of a sender; worker and scheduler have their own patience (broker.Connection)
        "socket_connect_timeout": 1,
        "socket_timeout": 1,
        "health_check_interval": 5,
    }
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = None
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_PUBLISH_RETRY = False  # the outbox sends again
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE = {
    "outbox-sweep": {
        "task": "marefia.outbox.sweep",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "payments-reconcile": {
        "task": "marefia.payments.reconcile",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "stays-expire": {
        "task": "marefia.stays.expire",
        "schedule": timedelta(minutes=1),
        "options": {"expires": 60},
    },
    "clean-up": {"task": "marefia.ops.clean_up", "schedule": timedelta(days=1)},
}

# -- logs: one line of JSON an event

LOGGING = logs.config(ENV.log_level)
LOGGING_CONFIG = "marefia.logs.configure"
DJANGO_STRUCTLOG_CELERY_ENABLED = True  # a task's lines carry the id of the request that caused it
DJANGO_STRUCTLOG_CELERY_DEFAULT_LOG_LEVEL = logging.DEBUG
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # ObserveMiddleware lets well-formed ones through only
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_USER_ID_FIELD = None
