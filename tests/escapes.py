"""The ways out of a smoke test's transaction, as one table.

Each entry is the body of a smoke test that tries to leave something in a database, and
what becomes of it on each vendor:

*undone*    it works, and nothing of it is left when the test has ended;
*refused*   the test errors, with the words given here, and nothing is left;
*escapes*   it leaves something, and no library could stop it.

``test_escapes.py`` runs them all on real servers; ``escapes_page.py`` makes a page of the
documentation of them.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import json
import os
import pickle
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import django.db
from asgiref.sync import async_to_sync, sync_to_async
from django.core.management import call_command
from django.db import (
    IntegrityError,
    close_old_connections,
    connections,
    models,
    transaction,
)
from django.db.utils import ConnectionHandler, load_backend
from django.test.utils import CaptureQueriesContext

from smoketest import SmokeTest
from smoketest.exceptions import Refused
from tests.testapp.models import Item, Part

connection: Any = django.db.connection
Kind = Literal["undone", "refused", "escapes"]


class Expected(NamedTuple):
    """What becomes of an escape on one vendor."""

    kind: Kind
    words: str = ""
    """Part of the message of a test that is refused."""


def refused(words: str) -> Expected:
    """The test errors, and its message contains ``words``."""
    return Expected("refused", words)


UNDONE = Expected("undone")
ESCAPES = Expected("escapes")
BY_SERVER = refused("which would outlive it")
"""By Django's cursor: the server refuses, and our words stand around its own."""
BY_POSTGRESQL = refused("COMMIT is refused inside a smoke test")
BY_SQLITE = refused("not authorized")

Body = Callable[[SmokeTest], Any]


@dataclass(frozen=True, slots=True)
class Escape:
    """One way out, and what becomes of it."""

    group: str
    does: str
    """What the test does, in a few words of Markdown."""
    body: Body
    expected: Mapping[str, Expected]
    before: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Statements to prepare a vendor's database with."""
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Statements to clean up with what is no table and no row."""
    trace: Mapping[str, str] = field(default_factory=dict)
    """A query whose rows change when it leaves something that is neither of them."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """A query that gives a row where the server can do this at all."""

    @property
    def name(self) -> str:
        """Its id among the tests."""
        return self.body.__name__


TABLE: list[Escape] = []
_group = ""


def escape(
    does: str,
    *,
    every: Expected | None = None,
    sqlite: Expected | None = None,
    postgresql: Expected | None = None,
    mysql: Expected | None = None,
    **values: Any,
) -> Callable[[Body], Body]:
    """Enter a body into the table; a vendor without an expectation does not have it."""
    named = {"sqlite": sqlite, "postgresql": postgresql, "mysql": mysql}
    known = {vendor: own or every for vendor, own in named.items()}
    expected = {vendor: own for vendor, own in known.items() if own is not None}

    def enter(body: Body) -> Body:
        TABLE.append(Escape(_group, does, body, expected, **values))
        return body

    return enter


# -- what the bodies are made of

KEPT: list[Any] = []
"""What a test leaves behind, so that nothing ends it early."""

MARIADB = "SELECT 1 FROM DUAL WHERE VERSION() LIKE '%MariaDB%'"
INSERT = "INSERT INTO testapp_item (name) VALUES ('escaped')"


def sql(statement: str, params: Any = None, alias: str = "default") -> None:
    """Execute with a cursor of Django's."""
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, params)


def driver() -> Any:
    """The driver's connection below Django's, in the transaction of the test."""
    connection.ensure_connection()
    return connection.connection


def driver_sql(*statements: str) -> None:
    """Execute with a cursor of the driver's, below Django."""
    cursor = driver().cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


def insert() -> None:
    Item.objects.create(name="escaped")


INSERT_OR_ROLLBACK = (
    "INSERT OR ROLLBACK INTO testapp_item (id, name) SELECT id, name FROM testapp_item"
)


def driver_rolls_back_by_conflict() -> None:
    with suppress(sqlite3.IntegrityError):
        driver_sql(INSERT_OR_ROLLBACK)


def in_thread(function: Callable[[], Any]) -> None:
    """Call ``function`` in a thread of its own; raises what it raises."""
    raised: list[BaseException] = []

    def target() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


@contextmanager
def by_hand() -> Iterator[Any]:
    """A driver connection that a test opens itself, with the site's own parameters."""
    connected = connection.Database.connect(**connection.get_connection_params())
    try:
        yield connected
    finally:
        connected.close()


# ---------------------------------------------------------------------------
_group = "Django's transactions"


@escape("`transaction.commit()`", every=refused("called commit()"))
def commits(test: SmokeTest) -> None:
    insert()
    transaction.commit()


@escape("`transaction.rollback()`, then writes", every=refused("called rollback()"))
def rolls_back(test: SmokeTest) -> None:
    Item.objects.count()
    transaction.rollback()
    insert()


@escape(
    "`transaction.set_autocommit(True)` before its first query",
    every=refused("called set_autocommit()"),
)
def sets_autocommit_first(test: SmokeTest) -> None:
    transaction.set_autocommit(True)
    insert()


@escape(
    "`transaction.set_autocommit(True)` after a query", every=refused("called set_autocommit()")
)
def sets_autocommit_later(test: SmokeTest) -> None:
    insert()
    transaction.set_autocommit(True)


@escape(
    "`connection._set_autocommit(True)` before its first query",
    every=refused("called _set_autocommit()"),
)
def sets_autocommit_privately_first(test: SmokeTest) -> None:
    connection._set_autocommit(True)
    insert()


@escape(
    "`connection._set_autocommit(True)` after a query", every=refused("called _set_autocommit()")
)
def sets_autocommit_privately_later(test: SmokeTest) -> None:
    insert()
    connection._set_autocommit(True)
    Item.objects.create(name="escaped too")


@escape("`connection._commit()`", every=refused("called _commit()"))
def commits_privately(test: SmokeTest) -> None:
    insert()
    connection._commit()


@escape("`connection._rollback()`, then writes and commits", every=refused("_rollback()"))
def rolls_back_privately(test: SmokeTest) -> None:
    Item.objects.count()
    connection._rollback()
    insert()


@escape("`connection.in_atomic_block = False`, then `commit()`", every=refused("called commit()"))
def denies_its_block_and_commits(test: SmokeTest) -> None:
    insert()
    connection.in_atomic_block = False
    connection.commit()


@escape("`connection.in_atomic_block = False`, then an `atomic()` block", every=UNDONE)
def denies_its_block_and_enters_another(test: SmokeTest) -> None:
    connection.in_atomic_block = False
    with suppress(Refused), transaction.atomic():
        insert()


@escape("`atomic()` as the first thing that it does", every=UNDONE)
def enters_a_block_first(test: SmokeTest) -> None:
    with transaction.atomic():
        insert()


@escape("`atomic(durable=True)`", every=UNDONE)
def enters_a_durable_block(test: SmokeTest) -> None:
    with transaction.atomic(durable=True):
        insert()


@escape("`atomic(savepoint=False)` in a block that goes wrong", every=UNDONE)
def nests_without_savepoint(test: SmokeTest) -> None:
    with suppress(ZeroDivisionError), transaction.atomic(), transaction.atomic(savepoint=False):
        insert()
        raise ZeroDivisionError
    Item.objects.create(name="escaped")


@escape("`set_rollback(True)`, and back", every=UNDONE)
def marks_for_rollback(test: SmokeTest) -> None:
    insert()
    transaction.set_rollback(True)
    transaction.set_rollback(False)
    test.assertEqual(Item.objects.filter(name="escaped").count(), 1)


@escape(
    "`savepoint()`, `savepoint_rollback()`, `savepoint_commit()`, `clean_savepoints()`",
    every=UNDONE,
)
def plays_with_savepoints(test: SmokeTest) -> None:
    # Its name until Django 6.1.
    create = getattr(transaction, "savepoint_create", None) or transaction.savepoint
    first = create()
    insert()
    transaction.savepoint_rollback(first)
    second = create()
    insert()
    transaction.savepoint_commit(second)
    transaction.clean_savepoints()


@escape("`ROLLBACK TO` a savepoint of its own, then writes", every=UNDONE)
def goes_back_before_its_begin(test: SmokeTest) -> None:
    sql("SAVEPOINT mine")
    insert()
    sql("ROLLBACK TO SAVEPOINT mine")
    insert()
    sql("RELEASE SAVEPOINT mine")


@escape(
    "catches an `IntegrityError` outside of an `atomic()` block and goes on",
    every=refused("TransactionManagementError"),
)
def catches_an_integrity_error(test: SmokeTest) -> None:
    insert()
    with suppress(IntegrityError):
        Item.objects.create(name="escaped")
    Item.objects.count()


@escape("`on_commit()` hooks that write: they never run", every=UNDONE)
def registers_a_hook(test: SmokeTest) -> None:
    transaction.on_commit(insert)
    with transaction.atomic():
        transaction.on_commit(insert, robust=True)
        Item.objects.count()


@escape("`run_and_clear_commit_hooks()`", every=refused("TransactionManagementError"))
def runs_its_hooks(test: SmokeTest) -> None:
    transaction.on_commit(insert)
    connection.run_and_clear_commit_hooks()


@escape(
    "leaves an `Atomic` object once more than it has entered it",
    every=refused("called set_autocommit()"),
)
def leaves_a_block_that_it_never_entered(test: SmokeTest) -> None:
    block = transaction.atomic()
    with block:
        insert()
    block.__exit__(None, None, None)


@escape("writes to a second database, in and outside of a block", every=UNDONE)
def writes_to_another_alias(test: SmokeTest) -> None:
    Item.objects.using("other").create(name="escaped")
    with transaction.atomic(using="other"):
        Item.objects.using("other").create(name="escaped too")


@escape("`select_for_update()` and writes what it has locked", every=UNDONE)
def locks_rows(test: SmokeTest) -> None:
    with transaction.atomic():
        item = Item.objects.select_for_update().get(name="kept")
        item.name = "escaped"
        item.save()


@escape("`.iterator()`, a cursor on the server where there is one", every=UNDONE)
def iterates_by_chunks(test: SmokeTest) -> None:
    insert()
    for item in Item.objects.order_by("pk").iterator(chunk_size=1):
        Part.objects.create(item=item, label="escaped")


# ---------------------------------------------------------------------------
_group = "Django's connections"


@escape("`connection.close()` after a query", every=refused("closed the connection"))
def closes(test: SmokeTest) -> None:
    Item.objects.count()
    connection.close()
    insert()


@escape("`connections.close_all()` after a query", every=refused("closed the connection"))
def closes_all(test: SmokeTest) -> None:
    Item.objects.count()
    connections.close_all()
    insert()


@escape("`connections.close_all()` before its first query", every=UNDONE)
def closes_before_its_first_query(test: SmokeTest) -> None:
    connections.close_all()
    insert()


@escape("`close_old_connections()`, as the end of a request does: nothing is closed", every=UNDONE)
def closes_old_connections(test: SmokeTest) -> None:
    insert()
    close_old_connections()
    connection.close_if_unusable_or_obsolete()
    test.assertEqual(Item.objects.filter(name="escaped").count(), 1)


@escape("`connection.connect()`, then writes", every=refused("called connect()"))
def connects_anew(test: SmokeTest) -> None:
    Item.objects.count()
    connection.connect()
    insert()


@escape("`connection.connect()` before its first query", every=refused("called connect()"))
def connects_itself_first(test: SmokeTest) -> None:
    connection.connect()
    insert()


@escape("`connection.connection = None`, then writes", every=refused("had been closed"))
def drops_the_drivers_connection(test: SmokeTest) -> None:
    insert()
    connection.connection = None
    insert()


@escape("`connection.copy()`, and writes through the copy", every=UNDONE)
def copies_the_connection(test: SmokeTest) -> None:
    copied = connection.copy()
    with copied.cursor() as cursor:
        cursor.execute(INSERT)


@escape("`connection.copy()`, and `commit()` on the copy", every=refused("called commit()"))
def commits_a_copy(test: SmokeTest) -> None:
    copied = connection.copy()
    with copied.cursor() as cursor:
        cursor.execute(INSERT)
    copied.commit()


@escape("a copy of a copy, whose first copy it closes", every=UNDONE)
def copies_a_copy(test: SmokeTest) -> None:
    copied = connection.copy()
    again = copied.copy()
    copied.close()
    with again.cursor() as cursor:
        cursor.execute(INSERT)


@escape("`copy.copy(connection)`", every=refused("copied or pickled"))
def copies_the_object(test: SmokeTest) -> None:
    copied = copy.copy(connections["default"])
    with copied.cursor() as cursor:
        cursor.execute(INSERT)


@escape("pickles the connection", every=refused("copied or pickled"))
def pickles_the_connection(test: SmokeTest) -> None:
    insert()
    pickle.dumps(connections["default"])


@escape("`connection.temporary_connection()` as the first thing that it does", every=UNDONE)
def uses_a_temporary_connection(test: SmokeTest) -> None:
    with connection.temporary_connection() as cursor:
        cursor.execute(INSERT)
    test.assertEqual(Item.objects.filter(name="escaped").count(), 1)


@escape(
    "a connection to the server without the database, as for creating a test database",
    postgresql=refused("without its database"),
    mysql=refused("without its database"),
)
def connects_to_the_server(test: SmokeTest) -> None:
    with connections["default"]._nodb_cursor() as cursor:
        cursor.execute("CREATE DATABASE smoketest_escaped")


@escape("a `DatabaseWrapper` that it makes itself", every=refused("opened a connection of its own"))
def makes_a_backend_by_hand(test: SmokeTest) -> None:
    settings = connections["default"].settings_dict
    made = load_backend(settings["ENGINE"]).DatabaseWrapper(settings, "default")
    with made.cursor() as cursor:
        cursor.execute(INSERT)


@escape(
    "the same in a context of its own, `contextvars.Context()`",
    every=refused("opened a connection of its own"),
)
def makes_a_backend_in_another_context(test: SmokeTest) -> None:
    contextvars.Context().run(makes_a_backend_by_hand, test)


@escape("a `ConnectionHandler` of its own", every=refused("opened a connection of its own"))
def makes_a_handler_by_hand(test: SmokeTest) -> None:
    handler = ConnectionHandler({"default": connections["default"].settings_dict})
    with handler["default"].cursor() as cursor:
        cursor.execute(INSERT)


@escape("changes `connection.settings_dict`, which all threads share: it has a copy", every=UNDONE)
def changes_the_settings_of_its_connection(test: SmokeTest) -> None:
    connection.settings_dict["NAME"] = "escaped"
    connection.settings_dict["OPTIONS"]["escaped"] = True
    shared = connections.settings["default"]
    test.assertNotEqual(shared["NAME"], "escaped")
    test.assertNotIn("escaped", shared["OPTIONS"])
    del connection.settings_dict["OPTIONS"]["escaped"]
    connection.settings_dict["NAME"] = shared["NAME"]
    insert()


@escape("keeps a cursor, and uses it after the next block", every=UNDONE)
def gives_a_cursor_away(test: SmokeTest) -> None:
    cursor = connection.cursor()
    with transaction.atomic():
        cursor.execute(INSERT)
    cursor.execute("SELECT COUNT(*) FROM testapp_item")
    cursor.close()


@escape("`CaptureQueriesContext`, `force_debug_cursor`", every=UNDONE)
def captures_queries(test: SmokeTest) -> None:
    with CaptureQueriesContext(connections["default"]) as captured:
        insert()
    test.assertEqual(len(captured), 1)
    connections["default"].force_debug_cursor = True
    try:
        sql(INSERT.replace("escaped", "escaped too"))
    finally:
        connections["default"].force_debug_cursor = False


@escape("`COMMIT` with `force_debug_cursor`", every=refused("executed 'COMMIT'"))
def commits_with_a_debug_cursor(test: SmokeTest) -> None:
    connections["default"].force_debug_cursor = True
    try:
        sql(INSERT)
        sql("COMMIT")
    finally:
        connections["default"].force_debug_cursor = False


@escape(
    "an `execute_wrapper` that sends `COMMIT` by the driver's cursor",
    sqlite=BY_SQLITE,
    postgresql=refused("executed 'COMMIT'"),
    mysql=refused("executed 'COMMIT'"),
)
def commits_in_an_execute_wrapper(test: SmokeTest) -> None:

    def wrapper(execute: Any, statement: Any, params: Any, many: bool, context: Any) -> Any:
        result = execute(statement, params, many, context)
        driver_sql("COMMIT")
        return result

    with connection.execute_wrapper(wrapper):
        sql(INSERT)


@escape(
    "`connection.execute_wrappers.clear()`, then `COMMIT`",
    sqlite=BY_SQLITE,
    postgresql=refused("executed 'COMMIT'"),
    mysql=refused("executed 'COMMIT'"),
)
def takes_the_wrappers_off(test: SmokeTest) -> None:
    connections["default"].execute_wrappers.clear()
    sql(INSERT)
    sql("COMMIT")


@escape("an `execute_wrapper` that executes a statement of its own", every=UNDONE)
def queries_in_an_execute_wrapper(test: SmokeTest) -> None:

    def wrapper(execute: Any, statement: Any, params: Any, many: bool, context: Any) -> Any:
        connections["default"].execute_wrappers.remove(wrapper)
        sql(INSERT.replace("escaped", "escaped too"))
        return execute(statement, params, many, context)

    connections["default"].execute_wrappers.append(wrapper)
    sql(INSERT)


@escape("a request through `self.client` whose view writes", every=UNDONE)
def asks_its_client(test: SmokeTest) -> None:
    test.client.get("/")
    insert()


# ---------------------------------------------------------------------------
_group = "SQL by Django's cursor"


@escape("`COMMIT`", every=refused("executed 'COMMIT'"))
def executes_commit(test: SmokeTest) -> None:
    sql(INSERT)
    sql("COMMIT")


@escape("`/* x */ -- y ⏎ commit`", every=refused("executed 'COMMIT'"))
def executes_commit_behind_comments(test: SmokeTest) -> None:
    sql(INSERT)
    sql("/* it */ -- is\n\t commit")


@escape("`INSERT …; COMMIT` as one string", every=refused("executed 'COMMIT'"))
def executes_commit_after_an_insert(test: SmokeTest) -> None:
    sql(f"{INSERT}; COMMIT")


@escape("`COMMIT` before its first query, then writes", every=refused("executed 'COMMIT'"))
def executes_commit_before_its_first_query(test: SmokeTest) -> None:
    sql("COMMIT")
    sql(INSERT)


@escape("`ROLLBACK`, then `INSERT`, then `COMMIT`", every=refused("executed 'ROLLBACK'"))
def executes_rollback(test: SmokeTest) -> None:
    Item.objects.count()
    sql("ROLLBACK")
    sql(INSERT)
    sql("COMMIT")


@escape("`ROLLBACK; INSERT …; COMMIT` as one string", every=refused("executed 'ROLLBACK'"))
def executes_rollback_and_the_rest_at_once(test: SmokeTest) -> None:
    Item.objects.count()
    sql(f"ROLLBACK; {INSERT}; COMMIT")


@escape("`END`", every=refused("executed 'END'"), mysql=refused("executed 'END'"))
def executes_end(test: SmokeTest) -> None:
    sql(INSERT)
    sql("END")


@escape("`ABORT`", postgresql=refused("executed 'ABORT'"))
def executes_abort(test: SmokeTest) -> None:
    sql("ABORT")
    sql(INSERT)


@escape("`BEGIN`", every=refused("executed 'BEGIN'"))
def executes_begin(test: SmokeTest) -> None:
    sql(INSERT)
    sql("BEGIN")


@escape(
    "`START TRANSACTION`, which commits on MySQL",
    postgresql=refused("executed 'START TRANSACTION'"),
    mysql=refused("executed 'START TRANSACTION'"),
)
def executes_start_transaction(test: SmokeTest) -> None:
    sql(INSERT)
    sql("START TRANSACTION")


@escape(
    "`COMMIT AND CHAIN`",
    postgresql=refused("executed 'COMMIT'"),
    mysql=refused("executed 'COMMIT'"),
)
def executes_commit_and_chain(test: SmokeTest) -> None:
    sql(INSERT)
    sql("COMMIT AND CHAIN")


@escape("swallows the refusal of `COMMIT`, and writes again", every=refused("executed 'COMMIT'"))
def swallows_the_refusal(test: SmokeTest) -> None:
    sql(INSERT)
    with suppress(Refused):
        sql("COMMIT")
    Item.objects.create(name="escaped again")


@escape("`INSERT` of the text `; COMMIT; --`: it is not taken for a statement", every=UNDONE)
def names_a_transaction_word_in_a_literal(test: SmokeTest) -> None:
    sql("INSERT INTO testapp_item (name) VALUES ('; COMMIT; --')")


@escape(
    "`ROLLBACK` behind what only PostgreSQL reads so: a literal with a backslash, `#`, a comment "
    "in a comment",
    postgresql=refused("executed 'ROLLBACK'"),
)
def hides_a_rollback(test: SmokeTest) -> None:
    Item.objects.count()
    for start in ("SELECT '\\'", "SELECT 1 # 2", "SELECT 1 /* a /* b */ c; */"):
        with test.assertRaisesMessage(Refused, "'ROLLBACK'"):
            sql(f"{start}; ROLLBACK; INSERT INTO testapp_item (name) VALUES ('escaped')")
    sql(f"/* a /* b */ */ ROLLBACK; {INSERT}")


@escape("`PREPARE TRANSACTION`", postgresql=refused("executed 'PREPARE TRANSACTION'"))
def prepares_its_transaction(test: SmokeTest) -> None:
    sql(INSERT)
    sql("PREPARE TRANSACTION 'escaped'")


@escape("`XA END`, `XA PREPARE`, `XA COMMIT`", mysql=refused("executed 'XA'"))
def commits_by_xa(test: SmokeTest) -> None:
    sql(INSERT)
    sql("XA END 'x'")


@escape("`SET autocommit = 1`", mysql=refused("executed 'SET AUTOCOMMIT'"))
def sets_autocommit_by_statement(test: SmokeTest) -> None:
    sql(INSERT)
    sql("SET autocommit = 1")


@escape("`SET @a = 1, @@session.autocommit = 1`", mysql=refused("SESSION.AUTOCOMMIT"))
def sets_autocommit_among_variables(test: SmokeTest) -> None:
    sql(INSERT)
    sql("SET @a = 1, @@session.autocommit = 1")


@escape(
    "`SET TRANSACTION ISOLATION LEVEL`",
    postgresql=refused("must be called before any query"),
    mysql=refused("1568"),
)
def sets_the_isolation_level(test: SmokeTest) -> None:
    sql(INSERT)
    sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")


@escape(
    "`CLOSE ALL`, and with that our lock against commits",
    postgresql=refused("executed 'CLOSE ALL'"),
)
def closes_all_cursors(test: SmokeTest) -> None:
    sql(INSERT)
    sql("CLOSE ALL")


@escape("`DISCARD ALL`", postgresql=refused("cannot run inside a transaction block"))
def discards_all(test: SmokeTest) -> None:
    sql("DISCARD ALL")


@escape(
    "a temporary table, which the next test does not have",
    every=UNDONE,
    needs={"mysql": MARIADB},  # Oracle's MySQL refuses it: xa_detach_on_prepare
)
def makes_a_temporary_table(test: SmokeTest) -> None:
    sql("CREATE TEMPORARY TABLE passing (id integer)")
    sql("INSERT INTO passing VALUES (1)")


@escape(
    "`SET` of a session variable, which the next test does not have",
    postgresql=UNDONE,
    mysql=UNDONE,
)
def sets_a_session_variable(test: SmokeTest) -> None:
    if connection.vendor == "mysql":
        sql("SET SESSION sql_mode = 'ANSI', @passing = 'escaped'")
    else:
        sql("SET SESSION statement_timeout = 4321")


@escape(
    "`pg_advisory_lock()`, `GET_LOCK()`: the lock ends with the test",
    postgresql=UNDONE,
    mysql=UNDONE,
)
def takes_a_named_lock(test: SmokeTest) -> None:
    lock = "GET_LOCK('passing', 0)" if connection.vendor == "mysql" else "pg_advisory_lock(4321)"
    sql(f"SELECT {lock}")


@escape(
    "a procedure that sets session variables and takes a lock, which the next test does not have",
    mysql=UNDONE,
    before={
        "mysql": (
            (
                "CREATE PROCEDURE keeps()"
                " SET @passing = GET_LOCK('passing', 0), foreign_key_checks = 0"
            ),
        )
    },
    after={"mysql": ("DROP PROCEDURE keeps",)},
)
def calls_a_procedure_that_changes_the_session(test: SmokeTest) -> None:
    sql("CALL keeps()")
    sql("SELECT 'escaped' INTO @passing")


@escape("`PREPARE`, and `EXECUTE` of an `INSERT`", postgresql=UNDONE, mysql=UNDONE)
def prepares_a_statement(test: SmokeTest) -> None:
    if connection.vendor == "mysql":
        sql("PREPARE passing FROM %s", [INSERT])
    else:
        sql(f"PREPARE passing AS {INSERT}")
    sql("EXECUTE passing")


@escape(
    "`COMMIT` in a block (`DO`) or a prepared statement",
    postgresql=refused("invalid transaction termination"),
    mysql=BY_SERVER,
)
def commits_by_a_prepared_statement(test: SmokeTest) -> None:
    sql(INSERT)
    if connection.vendor == "mysql":
        sql("PREPARE passing FROM 'COMMIT'")
        sql("EXECUTE passing")
    else:
        sql("DO $$ BEGIN COMMIT; END $$")


@escape(
    "`CALL` of a procedure that commits",
    postgresql=refused("invalid transaction termination"),
    mysql=BY_SERVER,
    before={
        "postgresql": ("CREATE PROCEDURE keeps() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$",),
        "mysql": ("CREATE PROCEDURE keeps() BEGIN COMMIT; END",),
    },
    after={"postgresql": ("DROP PROCEDURE keeps",), "mysql": ("DROP PROCEDURE keeps",)},
)
def calls_a_procedure_that_commits(test: SmokeTest) -> None:
    sql(INSERT)
    sql("CALL keeps()")


@escape(
    "`cursor.callproc()` of a procedure that writes",
    postgresql=UNDONE,
    mysql=UNDONE,
    before={
        "postgresql": (
            (
                "CREATE PROCEDURE writes() LANGUAGE sql AS $$"
                " INSERT INTO testapp_item (name) VALUES ('escaped') $$"
            ),
        ),
        "mysql": (f"CREATE PROCEDURE writes() {INSERT}",),
    },
    after={"postgresql": ("DROP PROCEDURE writes",), "mysql": ("DROP PROCEDURE writes",)},
)
def calls_a_procedure_that_writes(test: SmokeTest) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.callproc("writes")
        else:
            cursor.execute("CALL writes()")


@escape(
    "writes to a table with a trigger that writes to another",
    every=UNDONE,
    before={
        "sqlite": (
            (
                "CREATE TRIGGER follows AFTER INSERT ON testapp_item BEGIN"
                " INSERT INTO testapp_part (item_id, label) VALUES (NEW.id, 'escaped'); END"
            ),
        ),
        "postgresql": (
            (
                "CREATE FUNCTION followed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " INSERT INTO testapp_part (item_id, label) VALUES (NEW.id, 'escaped');"
                " RETURN NEW; END $$"
            ),
            (
                "CREATE TRIGGER follows AFTER INSERT ON testapp_item"
                " FOR EACH ROW EXECUTE FUNCTION followed()"
            ),
        ),
        "mysql": (
            (
                "CREATE TRIGGER follows AFTER INSERT ON testapp_item FOR EACH ROW"
                " INSERT INTO testapp_part (item_id, label) VALUES (NEW.id, 'escaped')"
            ),
        ),
    },
    after={
        "sqlite": ("DROP TRIGGER follows",),
        "postgresql": ("DROP FUNCTION followed CASCADE",),
        "mysql": ("DROP TRIGGER follows",),
    },
)
def pulls_a_trigger(test: SmokeTest) -> None:
    insert()
    test.assertEqual(Part.objects.filter(label="escaped").count(), 1)


# ---------------------------------------------------------------------------
@escape(
    "a write to a table of an engine without transactions",
    mysql=refused("which is of the engine MyISAM"),
    before={"mysql": ("CREATE TABLE leftover (id integer) ENGINE=MyISAM",)},
)
def writes_to_a_table_without_transactions(test: SmokeTest) -> None:
    sql("INSERT INTO leftover VALUES (1)")


@escape(
    "the same behind `SELECT 1;`, `ANALYZE`, `SET STATEMENT`, `EXECUTE IMMEDIATE`, `/*! … */`",
    mysql=refused("which is of the engine MyISAM"),
    before={"mysql": ("CREATE TABLE leftover (id integer) ENGINE=MyISAM",)},
)
def hides_a_write_to_a_table_without_transactions(test: SmokeTest) -> None:
    write = "INSERT INTO leftover VALUES (1)"
    for statement in (
        f"ANALYZE FORMAT=JSON {write}",
        f"SET STATEMENT max_statement_time = 1 FOR {write}",
        f"PREPARE hidden FROM '{write}'",
        f"EXECUTE IMMEDIATE '{write}'",
        f"/*!40000 {write} */",
    ):
        with test.assertRaisesMessage(Refused, "MyISAM"):
            sql(statement)
    sql(f"SELECT 1; {write}")


@escape(
    "a trigger that writes to such a table: what it wrote stays, and the test errors",
    mysql=Expected("escapes", "could not undo that"),
    before={
        "mysql": (
            "CREATE TABLE leftover (id integer) ENGINE=MyISAM",
            (
                "CREATE TRIGGER follows AFTER INSERT ON testapp_item FOR EACH ROW"
                " INSERT INTO leftover VALUES (NEW.id)"
            ),
        )
    },
    after={"mysql": ("DROP TRIGGER follows",)},
    needs={"mysql": MARIADB},  # Oracle's MySQL refuses it, where it has GTIDs
)
def pulls_a_trigger_that_writes_to_a_table_without_transactions(test: SmokeTest) -> None:
    insert()


_group = "The schema, and everything at once"


@escape("`CREATE TABLE`, which commits on MySQL", every=UNDONE, mysql=BY_SERVER)
def creates_a_table(test: SmokeTest) -> None:
    sql(INSERT)
    sql("CREATE TABLE leftover (id integer)")
    sql("INSERT INTO leftover VALUES (1)")


@escape("`ALTER TABLE`", every=UNDONE, mysql=BY_SERVER)
def alters_a_table(test: SmokeTest) -> None:
    sql(INSERT)
    sql("ALTER TABLE testapp_item ADD COLUMN leftover integer")


@escape("`/*!40000 ALTER TABLE … DISABLE KEYS */`, as in a dump", mysql=BY_SERVER)
def alters_a_table_in_a_comment(test: SmokeTest) -> None:
    sql(INSERT)
    sql("/*!40000 ALTER TABLE testapp_item DISABLE KEYS */")


@escape("renames a table", every=UNDONE, mysql=BY_SERVER)
def renames_a_table(test: SmokeTest) -> None:
    sql("ALTER TABLE testapp_part RENAME TO leftover")


@escape("`DROP TABLE`", every=UNDONE, mysql=BY_SERVER)
def drops_a_table(test: SmokeTest) -> None:
    sql("DROP TABLE testapp_part")


@escape("`TRUNCATE`", postgresql=UNDONE, mysql=BY_SERVER)
def truncates(test: SmokeTest) -> None:
    sql("TRUNCATE testapp_part")


@escape("`CREATE INDEX`", every=UNDONE, mysql=BY_SERVER)
def creates_an_index(test: SmokeTest) -> None:
    sql(INSERT)
    sql("CREATE INDEX leftover ON testapp_part (label)")


@escape("`CREATE INDEX CONCURRENTLY`", postgresql=refused("cannot run inside a transaction block"))
def creates_an_index_concurrently(test: SmokeTest) -> None:
    sql("CREATE INDEX CONCURRENTLY leftover ON testapp_part (label)")


@escape(
    "`connection.schema_editor()`",
    sqlite=refused("foreign key constraint checks"),
    postgresql=UNDONE,
    mysql=refused("DDL statements while in a transaction"),
)
def edits_the_schema(test: SmokeTest) -> None:
    insert()
    with connection.schema_editor() as editor:
        editor.add_index(Part, models.Index(fields=["label"], name="escaped"))


@escape("`manage.py flush`", every=UNDONE, mysql=refused("couldn't be flushed"))
def flushes(test: SmokeTest) -> None:
    call_command("flush", interactive=False, verbosity=0)


@escape(
    "`manage.py migrate APP zero`",
    sqlite=refused("foreign key constraint checks"),
    postgresql=UNDONE,
    mysql=refused("DDL statements while in a transaction"),
)
def migrates(test: SmokeTest) -> None:
    call_command("migrate", "moving", "zero", verbosity=0)


@escape("`manage.py loaddata`", every=UNDONE)
def loads_data(test: SmokeTest) -> None:
    rows = [{"model": "testapp.item", "pk": 4321, "fields": {"name": "escaped"}}]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(rows, file)
        file.flush()
        call_command("loaddata", file.name, verbosity=0)
    test.assertEqual(Item.objects.filter(name="escaped").count(), 1)


@escape(
    "`connection.creation.create_test_db()`, which names another database for the whole process",
    every=refused("was created in"),
)
def creates_a_test_database(test: SmokeTest) -> None:
    connection.creation.create_test_db(verbosity=0)


@escape(
    "`connection.creation.destroy_test_db()` of the site's own database",
    every=refused("was destroyed in"),
)
def destroys_a_test_database(test: SmokeTest) -> None:
    connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


@escape(
    "`VACUUM`",
    sqlite=refused("VACUUM"),
    postgresql=refused("cannot run inside a transaction block"),
)
def vacuums(test: SmokeTest) -> None:
    sql(INSERT)
    sql("VACUUM")


@escape("`LOCK TABLES`, which commits", mysql=BY_SERVER)
def locks_tables(test: SmokeTest) -> None:
    sql(INSERT)
    sql("LOCK TABLES testapp_item WRITE")


@escape("`ANALYZE TABLE`, which commits", mysql=BY_SERVER)
def analyzes_a_table(test: SmokeTest) -> None:
    sql(INSERT)
    sql("ANALYZE TABLE testapp_item")


# ---------------------------------------------------------------------------
_group = "Below Django: the driver's connection"


@escape(
    "the driver's `commit()`",
    sqlite=BY_SQLITE,
    postgresql=refused("called the driver's commit()"),
    mysql=refused("called the driver's commit()"),
)
def driver_commits(test: SmokeTest) -> None:
    insert()
    driver().commit()


@escape(
    "the driver's `rollback()`, then writes, then `commit()`",
    sqlite=BY_SQLITE,
    postgresql=refused("called the driver's rollback()"),
    mysql=refused("called the driver's rollback()"),
)
def driver_rolls_back(test: SmokeTest) -> None:
    Item.objects.count()
    driver().rollback()
    driver_sql(INSERT)
    driver().commit()


@escape(
    "the same, with every refusal swallowed",
    sqlite=UNDONE,
    postgresql=refused("called the driver's rollback()"),
    mysql=refused("called the driver's rollback()"),
)
def driver_rolls_back_and_refusals_are_swallowed(test: SmokeTest) -> None:
    Item.objects.count()
    for step in (driver().rollback, lambda: driver_sql(INSERT), driver().commit):
        with suppress(Refused, driver_errors()):
            step()


def driver_errors() -> type[Exception]:
    error: type[Exception] = connection.Database.Error
    return error


@escape(
    "`COMMIT` by the driver's cursor",
    sqlite=BY_SQLITE,
    postgresql=refused("executed 'COMMIT'"),
    mysql=refused("executed 'COMMIT'"),
)
def driver_executes_commit(test: SmokeTest) -> None:
    driver_sql(INSERT, "COMMIT")


@escape(
    "`ROLLBACK`, `INSERT`, `COMMIT` by the driver's cursor",
    sqlite=BY_SQLITE,
    postgresql=refused("executed 'ROLLBACK'"),
    mysql=refused("executed 'ROLLBACK'"),
)
def driver_executes_rollback(test: SmokeTest) -> None:
    driver_sql("ROLLBACK", INSERT, "COMMIT")


@escape(
    "`ROLLBACK; INSERT …; COMMIT` as one string by the driver's cursor",
    sqlite=BY_SQLITE,
    postgresql=refused("executed 'ROLLBACK'"),
    mysql=refused("executed 'ROLLBACK'"),
)
def driver_executes_rollback_and_the_rest_at_once(test: SmokeTest) -> None:
    driver_sql(f"ROLLBACK; {INSERT}; COMMIT")


@escape(
    "`SELECT 1; ROLLBACK; INSERT …; COMMIT` as one string by the driver's cursor",
    sqlite=refused("one statement at a time"),
    postgresql=refused("executed 'ROLLBACK'"),
    mysql=refused("executed 'ROLLBACK'"),
)
def driver_executes_rollback_in_the_middle(test: SmokeTest) -> None:
    driver_sql(f"SELECT 1; ROLLBACK; {INSERT}; COMMIT")


@escape(
    "the driver's autocommit switched on, then writes",
    sqlite=BY_SQLITE,
    postgresql=refused("called the driver's autocommit()"),
    mysql=refused("called the driver's autocommit()"),
)
def driver_sets_autocommit(test: SmokeTest) -> None:
    if connection.vendor == "sqlite":
        driver().isolation_level = None
        driver_sql(INSERT, "COMMIT")
    elif connection.vendor == "mysql":
        driver().autocommit(True)
    else:
        driver().autocommit = True
    driver_sql(INSERT)


@escape("the driver's `close()`", every=refused("lost"))
def driver_closes(test: SmokeTest) -> None:
    insert()
    driver().close()


@escape("psycopg's `with conn.transaction():` as the first thing that it does", postgresql=UNDONE)
def driver_opens_a_block_first(test: SmokeTest) -> None:
    with driver().transaction():
        driver_sql(INSERT)


@escape(
    "psycopg's `with conn:`, which commits and closes",
    postgresql=refused("called the driver's commit()"),
)
def driver_as_a_context(test: SmokeTest) -> None:
    with driver():
        driver_sql(INSERT)


@escape("psycopg's `tpc_begin()`", postgresql=refused("called the driver's tpc_begin()"))
def driver_begins_in_two_phases(test: SmokeTest) -> None:
    conn = driver()
    conn.tpc_begin("escaped")


@escape("psycopg's `pipeline()`", postgresql=UNDONE)
def driver_makes_a_pipeline(test: SmokeTest) -> None:
    with driver().pipeline():
        driver_sql(INSERT)


@escape("`COMMIT` in psycopg's `pipeline()`", postgresql=refused("executed 'COMMIT'"))
def driver_pipes_a_commit(test: SmokeTest) -> None:
    with driver().pipeline():
        driver_sql(INSERT, "COMMIT")


@escape("`COPY … FROM STDIN`", postgresql=UNDONE)
def driver_copies_rows_in(test: SmokeTest) -> None:
    with driver().cursor().copy("COPY testapp_item (name) FROM STDIN") as rows:
        rows.write_row(["escaped"])


@escape("leaves `COPY … FROM STDIN` open", postgresql=refused("left a COPY or a stream open"))
def driver_leaves_a_copy_open(test: SmokeTest) -> None:
    block = driver().cursor().copy("COPY testapp_item (name) FROM STDIN")
    block.__enter__().write_row(["escaped"])
    KEPT.append(block)


@escape("leaves a `stream()` open", postgresql=refused("left a COPY or a stream open"))
def driver_leaves_a_stream_open(test: SmokeTest) -> None:
    insert()
    rows = driver().cursor().stream("SELECT generate_series(1, 9999)")
    next(rows)
    KEPT.append(rows)


@escape("leaves a `pipeline()` open", postgresql=UNDONE)
def driver_leaves_a_pipeline_open(test: SmokeTest) -> None:
    pipeline = driver().pipeline()
    pipeline.__enter__()
    driver_sql(INSERT)
    KEPT.append(pipeline)


@escape(
    "a large object",
    postgresql=UNDONE,
    trace={"postgresql": "SELECT count(*) FROM pg_largeobject_metadata"},
)
def makes_a_large_object(test: SmokeTest) -> None:
    sql("SELECT lo_from_bytea(0, 'escaped')")


@escape("`COMMIT` by libpq's own `exec` (`conn.pgconn`)", postgresql=BY_POSTGRESQL)
def driver_speaks_the_protocol(test: SmokeTest) -> None:
    driver_sql(INSERT)
    result = driver().pgconn.exec_(b"COMMIT")
    if result.status == driver().pgconn.exec_(b"SELECT 1").status:
        return
    raise connection.Database.OperationalError(result.error_message.decode())


@escape(
    "`ROLLBACK` by libpq's own `exec`, then `INSERT` by psycopg and `COMMIT` by libpq",
    postgresql=refused("read-only transaction"),
)
def driver_begins_anew(test: SmokeTest) -> None:
    driver().pgconn.exec_(b"ROLLBACK")
    driver_sql(INSERT)
    driver().pgconn.exec_(b"COMMIT")


@escape("`COMMIT` by the C functions below mysqlclient", mysql=refused("1399"))
def driver_speaks_below_itself(test: SmokeTest) -> None:
    driver_sql(INSERT)
    conn = driver()
    c_connection: Any = next(cls for cls in type(conn).__mro__ if cls.__module__.endswith("_mysql"))
    c_connection.query(conn, b"COMMIT")


@escape("a cursor of its own `WITH HOLD`", postgresql=UNDONE)
def declares_a_cursor_to_keep(test: SmokeTest) -> None:
    sql(f"{INSERT}; DECLARE mine CURSOR WITH HOLD FOR SELECT 1")


@escape(
    "mysqlclient's `change_user()`, which ends the transaction, then writes",
    mysql=refused("called the driver's change_user()"),
)
def driver_changes_its_user(test: SmokeTest) -> None:
    settings = connection.settings_dict
    driver().change_user(settings["USER"], settings["PASSWORD"], settings["NAME"])
    driver_sql(INSERT)


@escape("mysqlclient's `query()` with `COMMIT`", mysql=refused("executed 'COMMIT'"))
def driver_queries(test: SmokeTest) -> None:
    driver_sql(INSERT)
    driver().query("COMMIT")


@escape(
    "the driver's `select_db()`, `row_factory`, `cursor_factory`: the next test has its own",
    every=UNDONE,
)
def driver_is_set_up_otherwise(test: SmokeTest) -> None:
    conn = driver()
    if connection.vendor == "mysql":
        conn.select_db(connections["other"].settings_dict["NAME"])
    else:
        conn.row_factory = lambda *args: lambda values: "passing"
    if connection.vendor == "postgresql":
        conn.cursor_factory = type(conn.cursor())
    driver_sql(INSERT)


@escape(
    "a cursor that it makes itself, `psycopg.Cursor(conn)`, with `COMMIT`",
    postgresql=BY_POSTGRESQL,
)
def driver_has_another_cursor(test: SmokeTest) -> None:
    driver_sql(INSERT)
    connection.Database.Cursor(driver()).execute("COMMIT")


@escape("a connection to a database that it adds to `connections` itself", every=UNDONE)
def adds_an_alias(test: SmokeTest) -> None:
    connections.settings["added"] = connections.settings["default"]
    try:
        Item.objects.using("added").create(name="escaped")
    finally:
        del connections.settings["added"]


@escape("`os.fork()`, and writes in the child", postgresql=UNDONE, mysql=UNDONE)
def forks(test: SmokeTest) -> None:
    insert()
    child = os.fork()
    if not child:
        with suppress(BaseException):
            Item.objects.create(name="escaped by the child")
        os._exit(0)
    os.waitpid(child, 0)


@escape("sqlite3's `executescript()`, which commits first", sqlite=BY_SQLITE)
def driver_executes_a_script(test: SmokeTest) -> None:
    insert()
    driver().executescript(f"{INSERT};")


@escape("sqlite3's `with conn:`, which commits", sqlite=BY_SQLITE)
def driver_as_a_transaction(test: SmokeTest) -> None:
    with driver():
        driver_sql(INSERT)


@escape("`INSERT OR ROLLBACK`, whose conflict ends the transaction, then writes", sqlite=BY_SERVER)
def ends_its_transaction_by_a_conflict(test: SmokeTest) -> None:
    with suppress(IntegrityError):
        sql(INSERT_OR_ROLLBACK)
    sql(INSERT)


@escape("the same by the driver, with a statement that it has prepared before", sqlite=BY_SQLITE)
def driver_ends_its_transaction_by_a_conflict(test: SmokeTest) -> None:
    driver_sql(INSERT)
    driver_rolls_back_by_conflict()
    driver_sql(INSERT)


@escape(
    "`RAISE(ROLLBACK)` in a trigger, then `SAVEPOINT` and writes",
    sqlite=BY_SERVER,
    before={
        "sqlite": (
            (
                "CREATE TRIGGER follows BEFORE INSERT ON testapp_part"
                " WHEN NEW.label = 'escaped' BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
            ),
        )
    },
    after={"sqlite": ("DROP TRIGGER follows",)},
)
def ends_its_transaction_by_a_trigger(test: SmokeTest) -> None:
    with suppress(IntegrityError):
        sql("INSERT INTO testapp_part (item_id, label) VALUES (1, 'escaped')")
    sql("SAVEPOINT again")
    sql(INSERT)
    sql("RELEASE again")


@escape("`ATTACH` another file, and writes there", sqlite=BY_SERVER)
def attaches_a_database(test: SmokeTest) -> None:
    sql("ATTACH %s AS elsewhere", [connections["other"].settings_dict["NAME"]])
    sql("INSERT INTO elsewhere.testapp_item (name) VALUES ('escaped')")


@escape("a `PRAGMA` that changes the file, such as `user_version = 7`", sqlite=BY_SERVER)
def changes_a_pragma(test: SmokeTest) -> None:
    sql("PRAGMA user_version = 7")


@escape(
    "sqlite3's `backup()` of another database into the one of the test", sqlite=refused("in use")
)
def is_overwritten_by_a_backup(test: SmokeTest) -> None:
    insert()
    source = sqlite3.connect(":memory:")
    try:
        source.backup(driver())
    finally:
        source.close()


# ---------------------------------------------------------------------------
_group = "Other threads and event loops"


@escape("a thread that writes", every=UNDONE)
def starts_a_thread(test: SmokeTest) -> None:
    in_thread(insert)


@escape("a thread that writes and sends `COMMIT`", every=refused("executed 'COMMIT'"))
def starts_a_thread_that_commits(test: SmokeTest) -> None:

    def commit() -> None:
        insert()
        sql("COMMIT")

    in_thread(commit)


@escape("a `ThreadPoolExecutor` of its own", every=UNDONE)
def makes_a_pool(test: SmokeTest) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(insert).result()


POOL = ThreadPoolExecutor(1)


@escape("a `ThreadPoolExecutor` that was there before the test", every=UNDONE)
def uses_a_pool_of_the_site(test: SmokeTest) -> None:
    POOL.submit(insert).result()


@escape("`asyncio.to_thread()`", every=UNDONE)
def uses_a_thread_of_asyncio(test: SmokeTest) -> None:
    asyncio.run(asyncio.to_thread(insert))


@escape("`await Item.objects.acreate()` in an `async def` test", every=UNDONE)
async def awaits_the_orm(test: SmokeTest) -> None:
    await Item.objects.acreate(name="escaped")


@escape("`asyncio.run()` of a coroutine that writes", every=UNDONE)
def runs_a_loop(test: SmokeTest) -> None:

    async def write() -> None:
        await Item.objects.acreate(name="escaped")

    asyncio.run(write())


@escape("`async_to_sync()` of a coroutine that writes", every=UNDONE)
def runs_a_loop_through_asgiref(test: SmokeTest) -> None:

    async def write() -> None:
        await Item.objects.acreate(name="escaped")

    async_to_sync(write)()


@escape("`sync_to_async(thread_sensitive=False)`", every=UNDONE)
async def goes_to_any_thread(test: SmokeTest) -> None:
    await sync_to_async(insert, thread_sensitive=False)()


@escape("a coroutine for a loop of the site's, in another thread", every=UNDONE)
def gives_a_coroutine_to_another_loop(test: SmokeTest) -> None:
    loop = asyncio.new_event_loop()
    thread = original_thread(loop.run_forever)

    async def write() -> None:
        await Item.objects.acreate(name="escaped")

    try:
        asyncio.run_coroutine_threadsafe(write(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def original_thread(target: Callable[[], Any]) -> threading.Thread:
    """Start a thread that does not belong to the test, as one of the site's."""
    thread = threading.Thread(target=target)
    contextvars.Context().run(thread.start)
    return thread


@escape("lends its connection to a thread (`inc_thread_sharing()`)", every=UNDONE)
def lends_its_connection(test: SmokeTest) -> None:
    lent = connections["default"]
    lent.inc_thread_sharing()

    def use() -> None:
        connections["default"] = lent
        insert()

    try:
        in_thread(use)
    finally:
        lent.dec_thread_sharing()


@escape('`del connections["default"]`, then writes through a new one', every=UNDONE)
def forgets_its_connection(test: SmokeTest) -> None:
    connections["default"]  # of a thread that has none yet, nothing can be deleted
    del connections["default"]
    insert()


# ---------------------------------------------------------------------------
_group = "What no library can stop"


@escape("a driver connection that it opens by hand, with its own credentials", every=ESCAPES)
def opens_a_driver_connection(test: SmokeTest) -> None:
    with by_hand() as conn:
        cursor = conn.cursor()
        cursor.execute(INSERT)
        conn.commit()
        cursor.close()


@escape(
    "takes our lock away, below the driver, and commits: the test errors",
    every=Expected("escapes", "ended its transaction"),
)
def takes_the_lock_away(test: SmokeTest) -> None:
    driver_sql(INSERT)
    conn = driver()
    if connection.vendor == "sqlite":
        conn.set_authorizer(None)
        conn.execute("COMMIT")
    elif connection.vendor == "postgresql":
        sql("DO $$ BEGIN EXECUTE 'CLOSE ALL'; END $$")
        conn.pgconn.exec_(b"COMMIT")
    else:
        end_by_xa(conn, "XA COMMIT {} ONE PHASE")


def end_by_xa(conn: Any, statement: str) -> None:
    """End the test's XA transaction by the C functions below mysqlclient."""
    c_connection: Any = next(cls for cls in type(conn).__mro__ if cls.__module__.endswith("_mysql"))
    xa = connections["default"]._smoke_xa  # type: ignore[attr-defined]
    c_connection.query(conn, f"XA END {xa}".encode())
    c_connection.query(conn, statement.format(xa).encode())


@escape(
    "a conflict between the rows of sqlite3's `executemany()`, which ends the transaction: the "
    "test errors",
    sqlite=Expected("escapes", "ended its transaction"),
)
def driver_ends_its_transaction_between_rows(test: SmokeTest) -> None:
    driver_sql(INSERT)

    def rows() -> Iterator[tuple[str]]:
        driver_rolls_back_by_conflict()
        yield ("escaped",)

    driver().executemany("INSERT INTO testapp_item (name) VALUES (?)", rows())


@escape(
    "`ROLLBACK; BEGIN; INSERT …; COMMIT` as one string by libpq's own `exec`: the test errors",
    postgresql=Expected("escapes", "ended its transaction"),
)
def driver_speaks_the_protocol_at_length(test: SmokeTest) -> None:
    driver().pgconn.exec_(f"ROLLBACK; BEGIN; {INSERT}; COMMIT".encode())


@escape(
    "work that it hands over to a thread of the site's by a queue, or a thread by "
    "`_thread.start_new_thread()`",
    every=ESCAPES,
)
def uses_a_thread_that_is_not_its_own(test: SmokeTest) -> None:
    def write() -> None:
        insert()
        connection.close()

    original_thread(write).join()


@escape("another program that writes", every=ESCAPES)
def starts_a_program(test: SmokeTest) -> None:
    program = f"""
import django, json, sys
from django.conf import settings
settings.configure(DATABASES=json.loads(sys.argv[1]))
django.setup()
from django.db import connection
connection.cursor().execute({INSERT!r})
connection.close()
"""
    settings = {"default": connections.settings["default"]}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, json.dumps(settings)],
        check=False,
        capture_output=True,
        text=True,
    )
    test.assertEqual(done.returncode, 0, done.stderr)


@escape(
    "`dblink`",
    postgresql=ESCAPES,
    needs={
        "postgresql": "SELECT 1 FROM pg_proc WHERE proname = 'dblink_connect_u'"
        " AND has_function_privilege(oid, 'execute')"
    },
)
def links_to_a_database(test: SmokeTest) -> None:
    settings = connection.settings_dict
    address = "host={HOST} port={PORT} user={USER} dbname={NAME}".format(**settings)
    sql("SELECT dblink_connect_u('escape', %s)", [address])
    sql("SELECT dblink_exec('escape', %s)", [INSERT])


@escape(
    "numbers of a sequence or of an `AUTO_INCREMENT` column: they are used up",
    sqlite=UNDONE,
    postgresql=ESCAPES,
    mysql=ESCAPES,
    trace={
        "sqlite": "SELECT * FROM sqlite_sequence",
        "postgresql": "SELECT last_value FROM testapp_item_id_seq",
        "mysql": "SELECT auto_increment FROM information_schema.tables"
        " WHERE table_schema = database() AND table_name = 'testapp_item'",
    },
)
def uses_ids_up(test: SmokeTest) -> None:
    insert()
