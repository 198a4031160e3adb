"""The connections of a run: how many there are, and who waits for whom."""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Hashable
from time import monotonic

import pytest

from smoketest.isolation.lending import Kept, Lender

SOON = 0.05
"""Seconds after which a wait is over that nothing will end."""
ALIASES = ("default", "other")


class Driver:
    """Stands in for a driver's connection object: it only knows whether it is open."""

    closed = False

    def close(self) -> None:
        self.closed = True


def lender(most: int = 1, single: Collection[str] = ()) -> Lender:
    return Lender(most, single, ALIASES)


def borrow(
    from_: Lender, who: str, alias: str, declared: Collection[str] | None = None
) -> Kept | None:
    return from_.borrow(who, alias, declared, monotonic() + SOON)


def would_wait(lender: Lender, who: Hashable, alias: str, declared: Collection[str] | None) -> bool:
    wanted = frozenset(ALIASES if declared is None else declared)
    return not lender._may_lend(who, alias, wanted)


class Clock:
    """Notes what it is told, and tells when it is paused."""

    expires = 0.0

    def __init__(self) -> None:
        self.told: list[str] = []
        self.is_paused = threading.Event()

    def pause(self) -> None:
        self.told.append("pause")
        self.is_paused.set()

    def resume(self) -> None:
        self.told.append("resume")


def test_clock_stands_still_while_somebody_waits() -> None:
    connections, clock = lender(), Clock()
    borrow(connections, "a", "default")
    waiting = threading.Thread(
        target=lambda: connections.borrow("b", "default", None, monotonic() + 5, clock)
    )
    waiting.start()
    assert clock.is_paused.wait(5)
    connections.give_back("a", "default", None)
    waiting.join()
    assert clock.told == ["pause", "resume"]


def test_clock_goes_on_where_nothing_is_waited_for() -> None:
    clock = Clock()
    lender().borrow("a", "default", None, monotonic() + 5, clock)
    assert clock.told == []


def test_clock_goes_on_after_a_wait_in_vain() -> None:
    connections, clock = lender(), Clock()
    borrow(connections, "a", "default")
    with pytest.raises(TimeoutError):
        connections.borrow("b", "default", None, monotonic() + SOON, clock)
    assert clock.told == ["pause", "resume"]


def test_no_more_than_allowed_are_lent() -> None:
    connections = lender(most=2)
    borrow(connections, "a", "default")
    borrow(connections, "b", "default")
    assert would_wait(connections, "c", "default", None)
    with pytest.raises(TimeoutError):
        borrow(connections, "c", "default")


def test_single_alias_is_lent_once() -> None:
    connections = lender(most=4, single=["other"])
    borrow(connections, "a", "other", ["other"])
    assert would_wait(connections, "b", "other", ["other"])
    assert not would_wait(connections, "b", "default", ["default"])


def test_open_connection_goes_to_the_next() -> None:
    connections = lender()
    assert borrow(connections, "a", "default") is None, "the permission to open one"
    kept = Kept(Driver(), {"autocommit": True})
    connections.give_back("a", "default", kept)
    assert borrow(connections, "b", "default") is kept


def test_closed_connection_makes_room() -> None:
    connections = lender()
    borrow(connections, "a", "default")
    connections.give_back("a", "default", None)
    assert borrow(connections, "b", "default") is None


def test_database_that_was_not_there_at_the_start_is_lent_once() -> None:
    connections = lender(most=4)
    assert borrow(connections, "a", "new") is None
    with pytest.raises(TimeoutError):
        borrow(connections, "b", "new")
    kept = Kept(Driver(), {})
    connections.give_back("a", "new", kept)
    assert borrow(connections, "b", "new") is kept
    assert borrow(connections, "c", "default", ["default"]) is None


def test_second_give_back_changes_nothing() -> None:
    """A test that was let go may give back what was taken from it already."""
    connections = lender()
    borrow(connections, "a", "default")
    connections.give_back("a", "default", None)
    borrow(connections, "b", "default")
    more = Kept(Driver(), {})
    connections.give_back("a", "default", more)
    assert more.driver.closed
    assert would_wait(connections, "c", "default", None)


def test_give_back_wakes_who_waits() -> None:
    connections = lender()
    borrow(connections, "a", "default")
    lent = threading.Event()

    def wait() -> None:
        connections.borrow("b", "default", None, monotonic() + 60)
        lent.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert not lent.is_set()
    connections.give_back("a", "default", None)
    assert lent.wait(30)
    thread.join()


def test_what_could_deadlock_waits() -> None:
    """Each has what the other may want next: with both lent, neither could go on."""
    connections = lender()
    borrow(connections, "a", "default", ALIASES)
    assert would_wait(connections, "b", "other", ALIASES)


def test_what_cannot_deadlock_does_not_wait() -> None:
    connections = lender()
    borrow(connections, "a", "default", ALIASES)
    assert not would_wait(connections, "b", "other", ["other"])


def test_close_closes_what_is_free() -> None:
    connections = lender()
    borrow(connections, "a", "default")
    kept = Kept(Driver(), {"socket": Driver()})
    connections.give_back("a", "default", kept)
    connections.close()
    assert kept.driver.closed
    assert kept.fields["socket"].closed


def test_what_comes_back_late_is_closed() -> None:
    connections = lender()
    borrow(connections, "a", "default")
    connections.close()
    kept = Kept(Driver(), {})
    connections.give_back("a", "default", kept)
    assert kept.driver.closed


@pytest.mark.parametrize("seed", range(200))
def test_somebody_can_always_go_on(seed: int) -> None:
    """Whatever the order: who waits gets its connection once the others have ended."""
    chance = random.Random(seed)
    connections = Lender(chance.choice([1, 2]), chance.choice([[], ["b"]]), "abc")
    wants = {who: chance.sample("abc", chance.randint(1, 3)) for who in range(6)}
    declared = {who: frozenset(aliases) for who, aliases in wants.items()}
    left = {who: list(aliases) for who, aliases in wants.items()}
    while left:
        able = [
            who
            for who, aliases in left.items()
            if not aliases or not would_wait(connections, who, aliases[0], declared[who])
        ]
        assert able, "all of them wait for one another"
        who = chance.choice(able)
        if left[who]:
            connections.borrow(who, left[who].pop(0), declared[who], monotonic())
        else:
            for alias in wants[who]:
                connections.give_back(who, alias, None)
            del left[who]
