"""Migrations: applied, not applied, out of order, and kept away by a router."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from tests.conftest import Databases, MakeApp
from tests.probes.running import outcomes

FIRST = "from django.db import migrations\nclass Migration(migrations.Migration):\n    pass\n"
SECOND = FIRST.replace("    pass", '    dependencies = [("shop", "0001_a")]')


class NowhereButDefault:
    """A router that keeps every model away from other databases."""

    def allow_migrate(self, db: str, app_label: str, **hints: object) -> bool:
        return db == "default"


@pytest.fixture
def recorder(vendor: str, make_app: MakeApp) -> Iterator[MigrationRecorder]:
    """The record of `default`, in a project whose app `shop` has two migrations."""
    make_app(
        "shop",
        {
            "migrations/__init__.py": "",
            "migrations/0001_a.py": FIRST,
            "migrations/0002_b.py": SECOND,
        },
    )
    recorder = MigrationRecorder(connections["default"])
    recorder.ensure_schema()
    yield recorder
    recorder.flush()


def test_applied_migrations_pass(recorder: MigrationRecorder) -> None:
    recorder.record_applied("shop", "0001_a")
    recorder.record_applied("shop", "0002_b")
    assert outcomes("Migrations", aliases=["default"]) == {"test_migrations_default": "passed"}


def test_unapplied_migration_is_named_with_the_command(recorder: MigrationRecorder) -> None:
    recorder.record_applied("shop", "0001_a")
    [outcome] = outcomes("Migrations", aliases=["default"]).values()
    assert outcome.startswith("failed: Database 'default' lacks shop.0002_b. ")
    assert outcome.endswith("Run `manage.py migrate --database default`.")


def test_migration_that_was_applied_before_its_parent_fails(recorder: MigrationRecorder) -> None:
    recorder.record_applied("shop", "0002_b")
    [outcome] = outcomes("Migrations", aliases=["default"]).values()
    assert "are inconsistent: InconsistentMigrationHistory: Migration shop.0002_b" in outcome


def test_database_that_routers_keep_empty_is_left_out(sqlite: Databases) -> None:
    with override_settings(DATABASE_ROUTERS=[NowhereButDefault()]):
        assert set(outcomes("Migrations")) == {"test_migrations_default"}
        assert set(outcomes("Migrations", aliases=["other"])) == {"test_migrations_other"}


def test_database_that_is_down_is_named(sqlite: Databases, tmp_path: Path) -> None:
    connections["other"].settings_dict["NAME"] = str(tmp_path / "gone" / "database")
    assert outcomes("Migrations")["test_migrations_other"].startswith(
        "failed: The migrations of database 'other' cannot be read: OperationalError: "
    )
