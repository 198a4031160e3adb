"""Below Django: what a test must not do with the driver's connection, refused in words.

The server refuses a commit from whatever layer it comes. It cannot refuse a rollback,
nor tell what follows one in the same string from honest work; and its own words say
nothing about smoke tests. So the driver's connection is guarded as well while a test's
transaction is open: that of psycopg, mysqlclient and PyMySQL by a swap of its class, that
of psycopg2, which is C's, by its cursors only. Where a monitoring agent has put a proxy
around it (those of Datadog, New Relic and Elastic do), what is inside is guarded.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, wraps
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakKeyDictionary

from smoketest.exceptions import Refused

if TYPE_CHECKING:
    from .guard import GuardedConnection

# Methods of drivers that end the transaction, or make it another's; each driver has some.
_REFUSED = (
    "autocommit",
    "begin",
    "change_user",
    "commit",
    "rollback",
    "set_autocommit",
    "tpc_begin",
    "tpc_commit",
    "tpc_prepare",
    "tpc_rollback",
)

# And methods that change the session for whoever has it next.
_CHANGING = ("select_db", "set_character_set", "set_charset", "set_server_option")


class _Resting:
    """Whom a driver's connection asks while no test has it: everything is refused."""

    def refuse(self, what: str) -> NoReturn:
        raise Refused(
            f"Code of a smoke test {what} through a driver's connection or a cursor of a test "
            "that has ended. Nothing would roll that back. Ask for a cursor anew in each test, "
            "and wait in the test for the threads that it starts."
        )

    def check_statement(self, sql: str) -> NoReturn:
        self.refuse(f"executed {shorten(sql, 60)!r}")

    change_driver = refuse

    def in_use(self) -> AbstractContextManager[object]:
        return nullcontext()


_guards: WeakKeyDictionary[Any, GuardedConnection | _Resting] = WeakKeyDictionary()
"""Not an attribute of the driver's connection: psycopg2's can have none."""


def rest(driver: Any) -> None:
    """Refuse everything but to close ``driver``, which no test has now, until :func:`release`."""
    guard(driver, _Resting())


def guard(driver: Any, connection: GuardedConnection | _Resting) -> None:
    """Guard ``driver``, which is what ``connection`` has below it, until :func:`release`."""
    driver = _innermost(driver)
    _guards[driver] = connection
    if hasattr(driver, "__dict__"):
        original: Any = type(driver)
        driver.__class__ = guarded_class(original)


def release(driver: Any) -> None:
    """Let ``driver`` be as it was; does nothing to one that is not guarded."""
    driver = _innermost(driver)
    if _guards.pop(driver, None) is not None and hasattr(driver, "__dict__"):
        driver.__class__ = type(driver).__base__


def _innermost(driver: Any) -> Any:
    """Return what a proxy stands for: an agent's are wrapt's, whose class cannot be swapped."""
    while (wrapped := getattr(driver, "__wrapped__", None)) is not None:
        driver = wrapped
    return driver


@cache
def guarded_class(original: Any) -> type:
    """Return a guarded subclass of a driver's connection class.

    It has no other base: Python lets the class of an object be swapped for one of
    the same layout only.
    """
    names = [name for name in _REFUSED if hasattr(original, name)]
    methods = {name: _refused(original, name) for name in names}
    methods |= {name: _changing(original, name) for name in _CHANGING if hasattr(original, name)}
    if hasattr(original, "query"):  # mysqlclient and PyMySQL: everything passes through it
        methods["query"] = _checking(original, "query", lambda driver: driver)
        for name in ("next_result", "store_result", "use_result"):
            if hasattr(original, name):
                methods[name] = _occupying(original, name)
    if hasattr(original, "_read_query_result"):  # PyMySQL, which reconnects by itself
        methods["connect"] = _refused(original, "connect")
        methods["ping"] = lambda self, reconnect=False: original.ping(self, False)
    return type(original.__name__, (original,), {**methods, "__module__": __name__})


@cache
def guarded_cursor(original: Any) -> type:
    """Return a subclass of a PostgreSQL driver's cursor class, which asks its connection first.

    One that does so already is returned as it is.
    """
    if original.__module__ == __name__:
        return original  # type: ignore[no-any-return]
    names = ("callproc", "copy", "execute", "executemany", "stream")
    methods = {
        name: _checking(original, name, lambda cursor: cursor.connection)
        for name in names
        if hasattr(original, name)
    }
    return type(original.__name__, (original,), {**methods, "__module__": __name__})


def _refused(original: type, name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> None:
        _guards[self].refuse(f"called the driver's {name}()")

    attribute = getattr(original, name)
    return property(attribute.fget, method) if isinstance(attribute, property) else method


def _changing(original: type, name: str) -> Callable[..., Any]:
    function = getattr(original, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        _guards[self].change_driver(f"called the driver's {name}()")
        return function(self, *args, **kwargs)

    return method


def _checking(original: type, name: str, driver_of: Callable[[Any], Any]) -> Callable[..., Any]:
    function = getattr(original, name)

    @wraps(function)
    def method(self: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        connection = _guards.get(driver_of(self))
        if connection is None:
            return function(self, statement, *args, **kwargs)
        with connection.in_use():
            connection.check_statement(_text(statement))
            return function(self, statement, *args, **kwargs)

    return method


def _occupying(original: type, name: str) -> Callable[..., Any]:
    function = getattr(original, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _guards[self].in_use():
            return function(self, *args, **kwargs)

    return method


def _text(statement: Any) -> str:
    if isinstance(statement, bytes | bytearray):
        return statement.decode(errors="replace")
    as_string = getattr(statement, "as_string", None)  # psycopg's sql.SQL
    return as_string(None) if as_string else str(statement)
