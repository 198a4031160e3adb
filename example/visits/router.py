from __future__ import annotations

from typing import Any

from django.db.models import Model


class VisitsRouter:
    """Keeps the visits in ``analytics``, and everything else out of there."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return "analytics" if model._meta.app_label == "visits" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return (db == "analytics") == (app_label == "visits")
