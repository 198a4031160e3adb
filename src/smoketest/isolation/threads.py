"""What a test does on other threads is guarded as well.

A thread, a pool, an event loop that a test starts would use connections of its own,
which nobody rolls back. So a context variable says which test a piece of code belongs
to. It goes along to threads that the test starts and to what it submits to a pool, and
``django.db.connections`` asks it: code of a test gets a guarded connection, in a
transaction of its own that is rolled back as the test ends.

The hooks are put in place at the first test and stay: a thread that a test leaves
behind must not find them gone. Outside of a test they cost one look at the variable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import wraps
from types import MethodType
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from smoketest.exceptions import Refused

from . import forgotten, remembering, scope

_installing = threading.Lock()


def install(guard: Callable[[BaseDatabaseWrapper], None]) -> None:
    """Put the hooks in place, once in the life of the process.

    ``guard`` is called with each connection that code outside of any other thread of a
    test makes, and guards it where its thread is the engine's.
    """
    with _installing:
        stock = type(connections)
        if not hasattr(stock, "_knows_smoke_tests"):
            fields = {
                "_knows_smoke_tests": True,
                "__getitem__": _looking_up(stock.__getitem__),
                "create_connection": _creating(stock.create_connection, guard),
            }
            connections.__class__ = type(stock.__name__, (stock,), fields)
            BaseDatabaseWrapper.connect = _connecting(BaseDatabaseWrapper.connect)  # type: ignore[method-assign, assignment]
            threading.Thread.start = _starting(threading.Thread.start)  # type: ignore[method-assign, assignment]
            ThreadPoolExecutor.submit = _submitting(ThreadPoolExecutor.submit)  # type: ignore[method-assign]
            remembering.install()
            forgotten.install()


def _looking_up(stock: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    # Every query of the site passes here: no super(), no attribute of a module.
    current = scope.current

    @wraps(stock)
    def look_up(self: Any, alias: str) -> Any:
        own = current()
        if own is None or own.is_on_its_own_thread():
            return stock(self, alias)
        return own.connection_elsewhere(alias)

    return look_up


def _creating(
    stock: Callable[[Any, str], Any], guard: Callable[[BaseDatabaseWrapper], None]
) -> Callable[[Any, str], Any]:
    @wraps(stock)
    def create_in_scope(self: Any, alias: str) -> Any:
        wrapper = stock(self, alias)
        own = scope.current()
        if own is None or own.is_on_its_own_thread():
            guard(wrapper)
        return wrapper

    return create_in_scope


def _connecting(connect: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(connect)
    def connect_in_scope(self: BaseDatabaseWrapper) -> None:
        owner = None if hasattr(self, "_smoke_session") else _owner_here()
        if owner is not None:
            refused = Refused(
                f"{owner.subject} opened a connection of its own to the database {self.alias!r}. "
                "Nothing would roll back what goes through it. Use django.db.connections, or "
                "copy() of one of them."
            )
            owner.note(refused)
            raise refused
        connect(self)

    return connect_in_scope


def _owner_here() -> scope.Scope | None:
    """The test of this context, or of this thread: what it runs may be in a context of its own."""
    if (owner := scope.current()) is not None:
        return owner
    for wrapper in connections.all(initialized_only=True):
        session = getattr(wrapper, "_smoke_session", None)
        if session is not None and session.frames:
            return session.frames[-1]  # type: ignore[no-any-return]
    return None


def _starting(start: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(start)
    def start_in_scope(self: threading.Thread) -> None:
        if (owner := scope.current()) is not None:
            run = _noting(owner, _carrying(owner, self.run))
            self.run = _bound(run, self)  # type: ignore[method-assign]
        start(self)

    return start_in_scope


def _noting(owner: scope.Scope, run: Callable[[], Any]) -> Callable[[], Any]:
    """Return ``run``, whose error ``owner`` is told: a thread's own comes to nobody."""

    @wraps(run)
    def noted() -> Any:
        try:
            return run()
        except Exception as error:
            owner.note(error)
            raise

    return noted


def _bound(run: Callable[[], Any], thread: threading.Thread) -> Callable[[], Any]:
    """Return ``run`` as a method of ``thread``.

    Others replace ``run`` too, and take its ``__func__`` to call it with the thread:
    Sentry's SDK does, and a plain function would get an argument too many.
    """
    return MethodType(lambda thread: run(), thread)


def _submitting(submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @wraps(submit)
    def submit_in_scope(
        self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        if (owner := scope.current()) is not None:
            fn = _carrying(owner, fn)
        return submit(self, fn, *args, **kwargs)

    return submit_in_scope


def _carrying(owner: scope.Scope, function: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``function`` belong to the test of ``owner``, on whichever thread it runs."""

    @wraps(function)
    def carried(*args: Any, **kwargs: Any) -> Any:
        with scope.within(owner):
            return function(*args, **kwargs)

    return carried
