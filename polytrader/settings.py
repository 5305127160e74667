"""Django's settings, all from the configuration (see `configuration.py`)."""

import logging.config
import os
import sys
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from django.urls import reverse_lazy

from polytrader.configuration import Configuration, load
from polytrader.variables import ConfigurationError


def _load() -> Configuration:
    try:
        return load()
    except ConfigurationError as error:
        sys.exit(f"configuration: {error}")


CONFIGURATION = _load()
VERSION = "0.1.0"

SECRET_KEY = CONFIGURATION.secret_key
DEBUG = CONFIGURATION.debug
ALLOWED_HOSTS = list(CONFIGURATION.allowed_hosts)

OURS = ["polytrader", "orders", "trailing", "minting", "strategy", "operations"]
FOR_PEOPLE = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
# A worker serves no pages; without them it needs some 25 MiB less.
IS_WORKER = os.environ.get("POLYTRADER_ROLE") in ("worker", "monitor", "minter", "stream")
INSTALLED_APPS = OURS if IS_WORKER else FOR_PEOPLE + OURS
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "polytrader.urls"
WSGI_APPLICATION = "polytrader.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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


def _database(url: str | None) -> dict[str, Any]:
    parts = urlsplit(url or "postgresql://nobody@127.0.0.1:1/none")
    return {
        "ENGINE": "polytrader.database",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # A host that has vanished is given up within seconds, not minutes.
        "OPTIONS": {"connect_timeout": 3, "tcp_user_timeout": 10_000, "keepalives_idle": 10},
    }


DATABASES = {"default": _database(CONFIGURATION.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = []

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
# Served from the packages themselves: nothing to collect, nothing to forget.
STATIC_ROOT = None
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
LOGIN_URL = reverse_lazy("admin:login")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["polytrader.tokens.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["polytrader.tokens.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["polytrader.json.JsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["polytrader.json.JsonParser"],
    "DEFAULT_PAGINATION_CLASS": "polytrader.paging.Pages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "polytrader.errors.handle",
    "PAGE_SIZE": 50,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}


def _health_paths() -> dict[str, Any]:
    """The two addresses of no REST framework view, for the schema."""
    told = {
        "/healthz": {200: "The process answers."},
        "/readyz": {200: "Ready.", 503: "Not ready; `problems` says why."},
    }
    return {
        path: {
            "get": {
                "operationId": path.strip("/"),
                "tags": ["health"],
                "security": [{}],
                "responses": {
                    str(code): {
                        "description": text,
                        "content": {"application/json": {"schema": {"type": "object"}}},
                    }
                    for code, text in answers.items()
                },
            }
        }
        for path, answers in told.items()
    }


SPECTACULAR_SETTINGS = {
    "TITLE": "polytrader",
    "DESCRIPTION": "Trailing stops, order repair and minting for Polymarket.",
    "VERSION": VERSION,
    "SERVE_AUTHENTICATION": [
        "polytrader.tokens.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "SERVE_PERMISSIONS": ["polytrader.tokens.HasScopeOrIsStaff"],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "Side": "polytrader.schema.SIDES",
        "StopStatus": "polytrader.schema.STOP_STATES",
        "OrderStatus": "strategy.schema.ORDER_STATES",
        "LegStatus": "strategy.schema.LEG_STATES",
        "JobStatus": "strategy.schema.JOB_STATES",
        "MintKind": "minting.schema.JOB_KINDS",
        "MintStatus": "minting.schema.JOB_STATES",
        "MintTransactionKind": "minting.schema.TRANSACTION_KINDS",
        "MintTransactionStatus": "minting.schema.TRANSACTION_STATES",
    },
    "APPEND_PATHS": _health_paths(),
    "SWAGGER_UI_DIST": "SIDECAR",  # served from here, not from somebody else's server
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

REDIS_URL = CONFIGURATION.redis_url or "redis://127.0.0.1:1/0"


def _group(title: str, *items: tuple[str, str, str]) -> dict[str, Any]:
    """A part of the admin's sidebar: titles, icons and the lists they lead to."""
    return {
        "title": title,
        "items": [
            {"title": name, "icon": icon, "link": reverse_lazy(f"admin:{model}_changelist")}
            for name, icon, model in items
        ],
    }


UNFOLD = {
    "SITE_TITLE": "polytrader",
    "SITE_HEADER": "polytrader",
    "SITE_SUBHEADER": "paper trading" if CONFIGURATION.exchange == "paper" else "LIVE trading",
    "SITE_SYMBOL": "trending_down",
    "SITE_URL": None,  # the admin is all there is; nothing to return to
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {
        "navigation": [
            _group(
                "Trading",
                ("Trailing stops", "trending_down", "trailing_trailingstop"),
                ("Signals", "bolt", "strategy_signal"),
                ("Trades", "swap_horiz", "orders_trade"),
                ("Legs", "call_split", "orders_leg"),
                ("Orders", "receipt_long", "orders_order"),
                ("Fills", "handshake", "orders_fill"),
                ("Mints", "library_add", "minting_mint"),
                ("Transactions", "link", "minting_transaction"),
                ("Resolutions", "gavel", "minting_resolution"),
            ),
            _group(
                "Book",
                ("Positions", "account_balance_wallet", "orders_position"),
                ("Entries", "menu_book", "orders_entry"),
                ("Orders placed elsewhere", "back_hand", "orders_foreignorder"),
                ("Instruments", "candlestick_chart", "orders_instrument"),
            ),
            _group(
                "Operation",
                ("Alerts", "notifications", "polytrader_alert"),
                ("Position jobs", "build", "strategy_positionjob"),
                ("Decisions", "rule", "strategy_decision"),
                ("Venues", "account_balance", "orders_venuestate"),
                ("Halts", "front_hand", "orders_halt"),
                ("Heartbeats", "monitor_heart", "polytrader_heartbeat"),
                ("API tokens", "key", "polytrader_apitoken"),
                ("Users", "person", "auth_user"),
                ("Groups", "group", "auth_group"),
            ),
        ]
    },
}

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"told": {"()": "polytrader.logs.WithoutExpected"}},
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            "httpx": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.worker.request": {"level": "WARNING"},
            "django.request": {"level": "ERROR", "filters": ["told"]},
        },
    }
)
LOGGING_CONFIG = None
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
    ],
    logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    cache_logger_on_first_use=True,
)
