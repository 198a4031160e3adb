"""The schema of each database is the one that this code expects."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from django.apps import apps
from django.db import Error, connections, router
from django.db.migrations.exceptions import InconsistentMigrationHistory
from django.db.migrations.executor import MigrationExecutor

from .subjects import Probe, chosen

_SHOWN = 10


class Migrations(Probe):
    """In each database no migration is unapplied, and none was applied before its parent.

    The databases are only read.
    """

    aliases: Collection[str] | Literal["__all__"] = "__all__"
    """Aliases of ``DATABASES``; ``"__all__"`` leaves out those that the routers keep every
    model away from."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The aliases."""
        aliases = chosen(cls.aliases, connections, "DATABASES")
        return filter(_may_migrate, aliases) if cls.aliases == "__all__" else aliases

    def check_migrations(self, alias: str) -> None:
        """No migration is unapplied or inconsistent."""
        with self.explained(
            f"The migrations of database {alias!r} cannot be read",
            "Start the server, or correct DATABASES.",
            Error,
        ):
            executor = MigrationExecutor(connections[alias])
        with self.explained(
            f"The migrations of database {alias!r} are inconsistent",
            "Compare `manage.py showmigrations` with the code that is deployed.",
            InconsistentMigrationHistory,
        ):
            executor.loader.check_consistent_history(connections[alias])
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        names = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            self.fail(
                f"Database {alias!r} lacks {', '.join(names[:_SHOWN])}{more}. The code that runs"
                f" expects them applied. Run `manage.py migrate --database {alias}`."
            )


def _may_migrate(alias: str) -> bool:
    """Whether the routers let the tables of any model be made there, as makemigrations asks."""
    return any(
        router.allow_migrate(alias, model._meta.app_label, model_name=model._meta.model_name)
        for model in apps.get_models(include_auto_created=True)
    )
