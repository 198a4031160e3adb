"""Real databases to test on, and a look at them that Django has no part in.

A test's `default` and `other` are databases of one vendor for as long as the test
lasts; the fixtures in conftest.py choose which. What a test left is removed after it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connections

from tests.servers import Server

LOCK_SECONDS = 5
"""How long a clean-up waits for what a test has left locked, before it is an error."""

_FILLED_BY_MIGRATE = {"auth_permission", "django_content_type"}


class Database(ABC):
    """One physical database, with the schema of the test project in it."""

    vendor: str
    list_tables: str
    session: tuple[str, ...]
    """Statements for the connection that cleans up."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.schema: frozenset[str] = frozenset()

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What ``settings.DATABASES`` says of it."""

    @abstractmethod
    def connect(self) -> Any:
        """A new autocommit connection of the driver's own; the caller closes it."""

    @abstractmethod
    def create(self) -> None:
        """Make the database, empty."""

    @abstractmethod
    def drop(self) -> None:
        """Remove the database; nobody is connected to it any more."""

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of `statement`, from a connection that is made for it and closed."""
        with closing(self.connect()) as connection:
            return execute(connection, statement)

    def tables(self) -> frozenset[str]:
        """The names of its tables."""
        return frozenset(name for (name,) in self.execute(self.list_tables))

    def empty(self) -> None:
        """Delete all rows, and drop the tables that are not of the test project."""
        with closing(self.connect()) as connection:
            for statement in self.session:
                execute(connection, statement)
            for (table,) in execute(connection, self.list_tables):
                if table not in _FILLED_BY_MIGRATE:
                    execute(connection, self._clearing(table))
            execute(connection, "COMMIT")

    def _clearing(self, table: str) -> str:
        quote = "`" if self.vendor == "mysql" else '"'
        verb = "DELETE FROM" if table in self.schema else "DROP TABLE"
        return f"{verb} {quote}{table}{quote}"


class SQLite(Database):
    """A file, `name` is its path."""

    vendor = "sqlite"
    list_tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    session = ("PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE")

    @property
    def settings(self) -> dict[str, Any]:
        """The file."""
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": self.name}

    def connect(self) -> sqlite3.Connection:
        """A connection that waits a while for a lock."""
        return sqlite3.connect(self.name, timeout=LOCK_SECONDS, isolation_level=None)

    def create(self) -> None:
        """Nothing: the first connection makes the file."""

    def drop(self) -> None:
        """Remove the file."""
        Path(self.name).unlink()


class ServerDatabase(Database):
    """A database on a server."""

    engine: str
    maintenance: str
    """Where to connect to while the database is not there."""

    def __init__(self, name: str, server: Server) -> None:
        super().__init__(name)
        self.server = server

    @property
    def settings(self) -> dict[str, Any]:
        """The database on its server."""
        return {
            "ENGINE": self.engine,
            "NAME": self.name,
            "HOST": self.server.host,
            "PORT": str(self.server.port),
            "USER": self.server.user,
            "PASSWORD": self.server.password,
        }

    def connect(self) -> Any:
        """A connection to the database."""
        return self._connect(self.name)

    def create(self) -> None:
        """Make it, from a connection to the maintenance database."""
        with closing(self._connect(self.maintenance)) as connection:
            execute(connection, f"CREATE DATABASE {self.name}")

    def drop(self) -> None:
        """Remove it, from a connection to the maintenance database."""
        with closing(self._connect(self.maintenance)) as connection:
            execute(connection, f"DROP DATABASE {self.name}")

    @abstractmethod
    def _connect(self, name: str) -> Any: ...


class PostgreSQL(ServerDatabase):
    """By way of psycopg 3."""

    vendor = "postgresql"
    engine = "django.db.backends.postgresql"
    maintenance = "postgres"
    list_tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    session = (f"SET lock_timeout = '{LOCK_SECONDS}s'", "BEGIN")

    def _connect(self, name: str) -> Any:
        import psycopg

        return psycopg.connect(
            host=self.server.host,
            port=self.server.port,
            user=self.server.user,
            password=self.server.password,
            dbname=name,
            autocommit=True,
        )


class MariaDB(ServerDatabase):
    """By way of mysqlclient."""

    vendor = "mysql"
    engine = "django.db.backends.mysql"
    maintenance = "information_schema"
    list_tables = "SHOW TABLES"
    session = (
        f"SET innodb_lock_wait_timeout = {LOCK_SECONDS}, lock_wait_timeout = {LOCK_SECONDS}",
        "SET foreign_key_checks = 0",
        "START TRANSACTION",
    )

    def _connect(self, name: str) -> Any:
        import MySQLdb

        return MySQLdb.connect(
            host=self.server.host,
            port=self.server.port,
            user=self.server.user,
            password=self.server.password,
            database=name,
            charset="utf8mb4",
            autocommit=True,
        )


def execute(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    """The rows of `statement` on a driver's `connection`; none if it returns none."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


@contextmanager
def ready(databases: Mapping[str, Database]) -> Iterator[Mapping[str, Database]]:
    """Make `databases` (by alias), with their schema, and drop them at the end."""
    with ExitStack() as stack:
        for database in databases.values():
            database.create()
            stack.callback(database.drop)
        with pointed_at(databases):
            for alias, database in databases.items():
                call_command("migrate", database=alias, run_syncdb=True, verbosity=0)
                database.schema = database.tables()
        yield databases


@contextmanager
def pointed_at(databases: Mapping[str, Database]) -> Iterator[None]:
    """Let `databases` (by alias) be all that Django, and processes started here, know of."""
    before = dict(settings.DATABASES)
    _point_at({alias: database.settings for alias, database in databases.items()})
    try:
        yield
    finally:
        _point_at(before)


def _point_at(entries: Mapping[str, dict[str, Any]]) -> None:
    # In place: other modules may hold the dictionary, and override_settings warns.
    _forget_connections()
    settings.DATABASES.clear()
    settings.DATABASES.update(entries)
    connections.settings = connections.configure_settings(settings.DATABASES)
    os.environ["SMOKETEST_TEST_DATABASES"] = json.dumps(settings.DATABASES)
    ContentType.objects.clear_cache()


def _forget_connections() -> None:
    """Close this thread's connections and let go of them: they know their old settings."""
    connections.close_all()
    for alias in list(connections):
        with suppress(AttributeError):
            del connections[alias]
