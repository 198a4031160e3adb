"""A small project for the tests: two databases, one app, Django's usual companions.

The databases are files, not ``:memory:``, because the engine works in threads. Tests
point `default` and `other` at other servers with the fixtures of conftest.py, which
also set ``SMOKETEST_TEST_DATABASES``, so that a process started by a test gets the same.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent

SECRET_KEY = "only-for-the-tests-of-django-smoketest-0123456789abcdef"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "smoke.example"]
USE_TZ = True
TIME_ZONE = "UTC"

DATABASES: dict[str, dict[str, Any]] = json.loads(
    os.environ.get("SMOKETEST_TEST_DATABASES", "null")
) or {
    alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(_HERE / f"{alias}.sqlite3")}
    for alias in ("default", "other")
}

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "smoketest",
    "tests.testapp",
]

# Tables straight from the models: the tests need the tables, not their history.
MIGRATION_MODULES = {"auth": None, "contenttypes": None, "sessions": None}

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

ROOT_URLCONF = "tests.urls"

TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The default hasher spends a tenth of a second on each user that a test creates.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
