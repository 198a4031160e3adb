"""Smoke tests of a Django project, run in production, that leave nothing behind."""

from __future__ import annotations

__version__ = "2.0.0"
