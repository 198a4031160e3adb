"""Nothing that a smoke test writes to a configured database survives.

``rolled_back`` is the one entrance: whatever happens in its block is rolled back
on every database that Django knows, whichever were used. A database that is not
used costs nothing: no connection, no statement.

What is *not* undone, because it is not in a configured database's transaction:
files, mail, cache entries, messages put on a broker, HTTP calls, PostgreSQL's
sequences, and what goes
through a database connection that the test opens by hand.
"""

from __future__ import annotations

from .advising import advice
from .callers import let_go, must_run_inline, new_lender
from .contention import lost_a_lock
from .examining import Findings, Told, examine, in_words
from .lending import Lender
from .limits import Clock, Limits
from .proofs import Proofs
from .scope import current
from .session import (
    Databases,
    Rollback,
    Session,
    aliases,
    guarded_thread,
    marked,
    refuse_nested_run,
)

__all__ = [
    "Clock",
    "Databases",
    "Findings",
    "Lender",
    "Limits",
    "Proofs",
    "Rollback",
    "Session",
    "Told",
    "advice",
    "aliases",
    "current",
    "examine",
    "guarded_thread",
    "in_words",
    "let_go",
    "lost_a_lock",
    "marked",
    "must_run_inline",
    "new_lender",
    "refuse_nested_run",
    "rolled_back",
]


def rolled_back(
    subject: str, databases: Databases = "__all__", *, lasting: bool = False
) -> Rollback:
    """Return a context manager that rolls back what its block does to any database.

    ``subject`` names the test in messages; an alias that ``databases`` does not
    name is refused, and so is a write to one that it names as ``alias:ro``.
    Blocks nest: an inner one is rolled back to where it began. ``lasting`` says
    that the block is a fixture's, which outlives a single test. Entering sends
    nothing. Leaving raises what made a rollback impossible.
    """
    return Rollback(subject, databases, lasting)
