"""Settings of the example shop.

Everything that differs between a laptop and a server comes from the environment:

==================  ============================================================
SHOP_DEBUG          ``1`` for Django's debug mode; off by default
SHOP_SECRET_KEY     the secret key; the default is for a laptop only
SHOP_ALLOWED_HOSTS  host names, separated by commas
SHOP_MEDIA_ROOT     where the products' photos are; a mount on a server
SHOP_PAYMENT_URL    health page of the payment provider; its test is skipped without
DATABASE_URL        products and orders; an SQLite file by default
ANALYTICS_DATABASE_URL  visits; an SQLite file of its own by default
SMOKETEST_TOKENS    who may see the details of /smoketest/, separated by commas
==================  ============================================================
"""

from __future__ import annotations

import os
from pathlib import Path

import dj_database_url
import django

BASE_DIR = Path(__file__).resolve().parent.parent


def listed(name: str, default: str = "") -> list[str]:
    """Return the environment variable ``name`` as a list; commas separate."""
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


DEBUG = os.environ.get("SHOP_DEBUG") == "1"
SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "only-for-a-laptop-and-not-a-secret-at-all")
ALLOWED_HOSTS = listed("SHOP_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "smoketest",
    "shop",
    "visits",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": dj_database_url.config(
        env="DATABASE_URL",
        default=f"sqlite:///{BASE_DIR / 'shop.sqlite3'}",
    ),
    "analytics": dj_database_url.config(
        env="ANALYTICS_DATABASE_URL",
        default=f"sqlite:///{BASE_DIR / 'analytics.sqlite3'}",
    ),
}
DATABASE_ROUTERS = ["visits.router.VisitsRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = Path(os.environ.get("SHOP_MEDIA_ROOT", BASE_DIR / "media"))

SHOP_PAYMENT_URL = os.environ.get("SHOP_PAYMENT_URL", "")

if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.console.EmailBackend"}}
else:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

# Without a token a caller sees verdict, counts and names, but no message and no traceback.
SMOKETEST_TOKENS = listed("SMOKETEST_TOKENS")
