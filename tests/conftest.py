"""Fixtures: the databases of three vendors, a look from outside, apps made on the fly.

A test that asks for `vendor` runs three times, with `default` and `other` on SQLite,
PostgreSQL and MariaDB. One that asks for `sqlite`, `postgresql` or `mysql` runs there
only; `every_vendor` has all of them side by side, by those names as aliases. In all of
these what is committed is committed, every thread sees it, and it is removed after the
test. A test that needs a database but no commit is faster with
``@pytest.mark.django_db`` (SQLite, one transaction that is rolled back).
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any, NoReturn, Protocol

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connections
from django.test.signals import setting_changed

from tests import servers
from tests.databases import Database, MariaDB, PostgreSQL, SQLite, pointed_at, ready

ALIASES = ("default", "other")
VENDORS = ("sqlite", "postgresql", "mysql")

Databases = Mapping[str, Database]
_IN_USE = pytest.StashKey[Databases]()


class Outside(Protocol):
    """See the fixture `outside`."""

    def __call__(self, statement: str, alias: str = "default") -> list[tuple[Any, ...]]: ...


class MakeApp(Protocol):
    """See the fixture `make_app`."""

    def __call__(
        self, name: str, files: Mapping[str, str] = ..., *, installed_as: str | None = ...
    ) -> Path: ...


def pytest_collection() -> None:
    """Look for no garbage among thousands of tests that are all kept: a third of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what has been collected out of every later look for garbage."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Close what the test before has left open.

    ``django_db`` keeps the connection; at the next request a test without a database
    would be asked for its state, and pytest-django refuses that.
    """
    connections.close_all()


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> str:
    """Run the test on each vendor; the value is its name, as in ``connection.vendor``."""
    request.getfixturevalue(request.param)
    return str(request.param)


@pytest.fixture
def sqlite(request: pytest.FixtureRequest, sqlite_databases: Databases) -> Iterator[Databases]:
    """`default` and `other` are SQLite files."""
    yield from _in_use(request, sqlite_databases)


@pytest.fixture
def postgresql(
    request: pytest.FixtureRequest, postgresql_databases: Databases
) -> Iterator[Databases]:
    """`default` and `other` are on a PostgreSQL server."""
    yield from _in_use(request, postgresql_databases)


@pytest.fixture
def mysql(request: pytest.FixtureRequest, mysql_databases: Databases) -> Iterator[Databases]:
    """`default` and `other` are on a MariaDB server."""
    yield from _in_use(request, mysql_databases)


@pytest.fixture
def every_vendor(
    request: pytest.FixtureRequest,
    sqlite_databases: Databases,
    postgresql_databases: Databases,
    mysql_databases: Databases,
) -> Iterator[Databases]:
    """`default`, `other` on SQLite, and one alias for each server: `postgresql`, `mysql`."""
    yield from _in_use(
        request,
        {
            **sqlite_databases,
            "postgresql": postgresql_databases["default"],
            "mysql": mysql_databases["default"],
        },
    )


@pytest.fixture
def outside(request: pytest.FixtureRequest) -> Outside:
    """See what is committed: ``outside("SELECT name FROM testapp_item", "other")``.

    The rows come from a new connection of the driver's own (sqlite3, psycopg, MySQLdb),
    of which neither Django nor the engine knows. It is in autocommit mode, so it can
    also write what a test should find: ``outside("INSERT INTO …")``.
    """

    def ask(statement: str, alias: str = "default") -> list[tuple[Any, ...]]:
        return _databases_in_use(request)[alias].execute(statement)

    return ask


@pytest.fixture
def outside_connection(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Keep a connection like that of `outside`, to hold a lock: ``outside_connection("other")``.

    The connections are closed after the test, and with that rolled back.
    """
    with ExitStack() as stack:

        def connect(alias: str = "default") -> Any:
            connection = _databases_in_use(request)[alias].connect()
            stack.callback(connection.close)
            return connection

        yield connect


@pytest.fixture
def make_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeApp]:
    r"""Write an app, install it, forget it after the test.

        make_app("shop", {"smoke.py": "from smoketest import SmokeTest\n…"})
        make_app("stock", {"smoke/__init__.py": "", "smoke/deep/er.py": "…"})
        make_app("bank", {"apps.py": "…", "smoke.py": "…"}, installed_as="bank.apps.BankConfig")

    Files are by their path in the app; the text is dedented. Each folder becomes a
    package, unless ``__init__.py`` is given. Returns the app's folder. Call it again for
    another app; the order of calls is the order in ``INSTALLED_APPS``. Name it like no
    installed app and no importable module. Tables of its models are not made.
    """
    monkeypatch.syspath_prepend(str(tmp_path))
    with ExitStack() as stack:

        def make(
            name: str, files: Mapping[str, str] = {}, *, installed_as: str | None = None
        ) -> Path:
            _write_package(tmp_path / name, files)
            importlib.invalidate_caches()
            stack.callback(_forget_modules, name)
            stack.enter_context(_installed(installed_as or name))
            return tmp_path / name

        yield make


@pytest.fixture(scope="session")
def sqlite_databases(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[Databases]:
    """The SQLite files, made once a session."""
    folder = tmp_path_factory.mktemp("sqlite")
    files = {alias: SQLite(str(folder / f"{alias}.sqlite3")) for alias in ALIASES}
    yield from _made(files, django_db_blocker)


@pytest.fixture(scope="session")
def postgresql_databases(django_db_blocker: Any) -> Iterator[Databases]:
    """The databases on a PostgreSQL server, started and made once a session."""
    with reachable(servers.postgresql()) as server:
        yield from _made({a: PostgreSQL(_unique(a), server) for a in ALIASES}, django_db_blocker)


@pytest.fixture(scope="session")
def mysql_databases(django_db_blocker: Any) -> Iterator[Databases]:
    """The databases on a MariaDB server, started and made once a session."""
    with reachable(servers.mariadb()) as server:
        yield from _made({a: MariaDB(_unique(a), server) for a in ALIASES}, django_db_blocker)


@pytest.fixture(scope="session")
def django_db_setup(sqlite_databases: Databases) -> Iterator[None]:
    """Let pytest-django's ``django_db`` mean the SQLite files."""
    with pointed_at(sqlite_databases):
        yield


def _made(databases: Databases, blocker: Any) -> Iterator[Databases]:
    with ExitStack() as stack:
        with blocker.unblock():
            stack.enter_context(ready(databases))
        yield databases


def _in_use(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Databases]:
    """Point Django at `databases` for one test, and empty them after it."""
    if request.node.get_closest_marker("django_db"):
        pytest.fail("django_db begins a transaction on SQLite before a vendor is chosen: drop it")
    request.node.stash[_IN_USE] = databases
    with request.getfixturevalue("django_db_blocker").unblock(), pointed_at(databases):
        yield databases
    for database in databases.values():
        database.empty()


def _databases_in_use(request: pytest.FixtureRequest) -> Databases:
    node: pytest.Item = request.node
    return node.stash[_IN_USE]


def _unique(alias: str) -> str:
    """The name of a database that no other session has on the same server."""
    return f"smoketest_{os.getpid()}_{alias}"


@contextmanager
def reachable(server: AbstractContextManager[servers.Server]) -> Iterator[servers.Server]:
    """Enter `server`; where it cannot be had, skip the test, or fail it if ``CI=true``."""
    with ExitStack() as stack:
        try:
            entered = stack.enter_context(server)
        except servers.Unavailable as error:
            _give_up(str(error))
        yield entered


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _write_package(folder: Path, files: Mapping[str, str]) -> None:
    """Write `files` (text by path) under `folder`, and what makes packages of folders."""
    for path in {"__init__.py", *files}:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dedent(files.get(path, "")), encoding="utf-8")
    for inner in filter(Path.is_dir, folder.rglob("*")):
        (inner / "__init__.py").touch()


@contextmanager
def _installed(entry: str) -> Iterator[None]:
    """Add `entry` to ``INSTALLED_APPS``.

    Not by override_settings: one that a test's decorator has entered would end before
    this one, which would then bring its values back for all tests that follow.
    """
    before = settings.INSTALLED_APPS
    after = [*before, entry]
    apps.set_installed_apps(after)
    try:
        _tell_installed_apps(after)
        yield
    finally:
        apps.unset_installed_apps()
        _tell_installed_apps(before)


def _tell_installed_apps(entries: list[str]) -> None:
    settings.INSTALLED_APPS = entries
    setting_changed.send(sender=None, setting="INSTALLED_APPS", value=entries, enter=True)


def _forget_modules(name: str) -> None:
    """Take the package `name` out of Python's modules and Django's models."""
    for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        del sys.modules[module]
    apps.all_models.pop(name, None)
    apps.clear_cache()
