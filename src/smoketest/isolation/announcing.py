"""Shows a test's transaction to those who watch ``atomic()``.

Libraries that cache queries, such as django-cachalot and django-cacheops, replace
``Atomic.__enter__`` and ``Atomic.__exit__``, to learn whether what they have read may be
shown to others. The transaction of a test begins below Django, and they would not see it:
they would hand out to the whole site what is rolled back. So a block is entered for them
as the transaction begins, and left with an error as it ends.
"""

from __future__ import annotations

from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic

from .adoption import STATE_FIELDS, AdoptedConnection, Frame, Owner, pristine


class Undone(Exception):
    """What is done in a smoke test is rolled back: with it the blocks are left."""


class AnnouncedConnection(AdoptedConnection):
    """Enters a block of ``atomic()`` for each real begin, where somebody watches them."""

    _smoke_announced: list[tuple[Frame, Atomic]]
    """The blocks that were entered, and the frames that they belong to."""

    def come_under(self, owner: Owner, original: type[BaseDatabaseWrapper]) -> None:
        """Begin to be guarded for ``owner``, without any traffic."""
        super().come_under(owner, original)
        self._smoke_announced = []

    def _smoke_announce(self, frame: Frame) -> None:
        """Enter a block, for those who watch; Django itself does not notice.

        Not on a thread that may outlive the test, such as one of the site's pool. The
        watchers keep the blocks by thread, and nobody could leave this one there.
        """
        if self._smoke_session.is_stray or not _is_watched() or connections[self.alias] is not self:
            return
        block = Atomic(self.alias, savepoint=False, durable=False)
        with _AsPristine(self):
            block.__enter__()
        self._smoke_announced.append((frame, block))

    def _smoke_call_off(self, frame: Frame) -> None:
        """Leave the blocks of ``frame``, as one does whose work is rolled back."""
        while self._smoke_announced and self._smoke_announced[-1][0] is frame:
            _, block = self._smoke_announced.pop()
            with _AsPristine(self, savepoint_ids=[None], atomic_blocks=[block, block]):
                block.__exit__(Undone, Undone(), None)


class _AsPristine:
    """Lets ``atomic()`` see a connection in an outermost block, in which nothing has happened."""

    def __init__(self, connection: AdoptedConnection, **state: Any) -> None:
        self._connection = connection
        self._state = {**pristine(), **state}

    def __enter__(self) -> None:
        fields = self._connection.__dict__
        self._before = {name: fields[name] for name in STATE_FIELDS}
        fields.update(self._state)

    def __exit__(self, *exc_info: object) -> None:
        self._connection.__dict__.update(self._before)


def _is_watched() -> bool:
    """Whether somebody has replaced what Django does at the edges of a block."""
    return any(
        getattr(getattr(method, "__code__", None), "co_filename", "") != transaction.__file__
        for method in (Atomic.__enter__, Atomic.__exit__)
    )
