"""The code by which PostgreSQL names an error, wherever its drivers have it."""

from __future__ import annotations


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of ``error``; ``None`` where it is not the server's.

    It is the ``sqlstate`` of psycopg 3 and the ``pgcode`` of psycopg 2.
    """
    code: str | None = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return code
