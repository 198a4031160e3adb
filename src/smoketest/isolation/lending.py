"""A run's own connections: at most so many to one database, each lent to one test at a time.

A test that needs a connection waits for one; its time stands still meanwhile. No
order of tests can deadlock: a connection is lent only if every test that holds one
could still get all that it has declared, one test after another (the banker's
algorithm: https://en.wikipedia.org/wiki/Banker%27s_algorithm).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, NamedTuple

from .limits import Clock


class Kept(NamedTuple):
    """An open connection between two tests."""

    driver: Any
    """The driver's connection object."""
    fields: dict[str, Any]
    """What connecting set on Django's wrapper besides."""

    def close(self) -> None:
        """Close it, and what else connecting has opened."""
        for value in (*self.fields.values(), self.driver):
            if hasattr(value, "close"):
                value.close()


class Lender:
    """Counts the connections of one run, and keeps those that are open and free."""

    def __init__(self, most: int, single: Collection[str], aliases: Collection[str]) -> None:
        """Allow ``most`` connections to each of ``aliases``, and one to each of ``single``."""
        self._most = {alias: 1 if alias in single else most for alias in aliases}
        self.facts: dict[str, Any] = {}
        """What was learnt of a database in this run, by its alias."""
        self._changed = threading.Condition()
        self._closed = False
        self._free: dict[str, list[Kept]] = {alias: [] for alias in aliases}
        self._held: dict[Hashable, set[str]] = {}
        self._declared: dict[Hashable, frozenset[str]] = {}

    def most_everywhere(self) -> int | None:
        """Return how many may be connected to every database at one time; ``None`` is any."""
        return min(self._most.values(), default=None)

    def borrow(
        self,
        borrower: Hashable,
        alias: str,
        declared: Collection[str] | None,
        until: float,
        clock: Clock | None = None,
    ) -> Kept | None:
        """Return a free connection to ``alias``, or ``None`` as the permission to open one.

        ``declared`` are all the aliases that the borrower may ever ask for; ``None``
        is every one. Where it must wait, ``clock`` is paused meanwhile. Raises
        ``TimeoutError`` if there is none before ``until``, on the monotonic clock.
        """
        with self._changed:
            # Sites add databases as they go, one for each customer perhaps.
            self._most.setdefault(alias, 1)
            self._free.setdefault(alias, [])
            wanted = frozenset(self._most if declared is None else declared)
            if not self._may_lend(borrower, alias, wanted):
                # Others hold the connections: that is not the fault of who asks.
                with _paused(clock):
                    self._wait(borrower, alias, wanted, until)
            self._declared[borrower] = self._declared.get(borrower, wanted) | wanted
            self._held.setdefault(borrower, set()).add(alias)
            return self._free[alias].pop() if self._free[alias] else None

    def _wait(self, borrower: Hashable, alias: str, wanted: frozenset[str], until: float) -> None:
        while not self._may_lend(borrower, alias, wanted):
            if not self._changed.wait(until - monotonic()):
                raise TimeoutError

    def give_back(self, borrower: Hashable, alias: str, kept: Kept | None) -> None:
        """Take a connection back; ``None`` if it is closed.

        One more than was lent is closed: the borrower's test was let go, or has made a
        second connection of its own.
        """
        with self._changed:
            if alias in self._held.get(borrower, ()):
                self._settle(borrower, alias)
                if kept is not None and not self._closed:
                    self._free[alias].append(kept)
                    kept = None
                self._changed.notify_all()
        if kept is not None:
            kept.close()

    def _settle(self, borrower: Hashable, alias: str) -> None:
        aliases = self._held[borrower]
        aliases.discard(alias)
        if not aliases:
            del self._held[borrower], self._declared[borrower]

    def close(self) -> None:
        """Close the free connections; those that are lent are closed as they come back."""
        with self._changed:
            self._closed = True
            free = [kept for some in self._free.values() for kept in some]
            self._free = {alias: [] for alias in self._free}
        for kept in free:
            kept.close()

    def _may_lend(self, borrower: Hashable, alias: str, wanted: frozenset[str]) -> bool:
        if len(self._held) < min(self._most.values()):
            return True  # there is one of each for everybody
        held = {who: set(aliases) for who, aliases in self._held.items()}
        held.setdefault(borrower, set()).add(alias)
        left = {
            name: most - sum(name in aliases for aliases in held.values())
            for name, most in self._most.items()
        }
        if left[alias] < 0:
            return False
        return self._all_could_end(held, left, {**self._declared, borrower: wanted})

    @staticmethod
    def _all_could_end(
        held: dict[Hashable, set[str]],
        left: dict[str, int],
        declared: dict[Hashable, frozenset[str]],
    ) -> bool:
        waiting = dict(held)
        while waiting:
            able = next(
                (
                    who
                    for who, aliases in waiting.items()
                    if all(left.get(name, 1) > 0 for name in declared[who] - aliases)
                ),
                None,
            )
            if able is None:
                return False
            for name in waiting.pop(able):
                left[name] += 1
        return True


@contextmanager
def _paused(clock: Clock | None) -> Iterator[None]:
    if clock is None:
        yield
        return
    clock.pause()
    try:
        yield
    finally:
        clock.resume()
