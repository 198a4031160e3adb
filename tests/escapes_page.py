"""The table of escapes as a page of the documentation: ``python -m tests.escapes_page``."""

from __future__ import annotations

import os
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from tests.escapes import Escape

PAGE = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "escapes.md"
_INTRODUCTION = """\
<!-- Made by `python -m tests.escapes_page` from the table that the tests run: do not edit. -->

# Escapes: what was tried, and what became of it

Each line is a smoke test that tries to leave something in a database. All of them are run
on real servers by the project's own tests, which look at the data from a second connection
afterwards, and run another test on the same thread.

- *undone*: it works, and nothing of it is left when the test has ended
- *refused*: the test errors with a message that says what it did, and nothing is left
- **escapes**: it leaves something; no library can stop it
- –: this database has no such thing

The words are those of psycopg 3, mysqlclient and Python's sqlite3.
"""
_CELLS = {"undone": "undone", "refused": "refused", "escapes": "**escapes**"}


def markdown() -> str:
    """Return the page; Django must have been set up."""
    from tests.escapes import TABLE

    lines = [_INTRODUCTION]
    for group, entries in groupby(TABLE, lambda entry: entry.group):
        lines += [
            f"## {group}\n",
            "| a test uses or does … | SQLite | PostgreSQL | MySQL, MariaDB |",
            "|---|---|---|---|",
            *(f"| {entry.does} | {' | '.join(_cells(entry))} |" for entry in entries),
            "",
        ]
    return "\n".join(lines)


def _cells(entry: Escape) -> list[str]:
    found = [entry.expected.get(vendor) for vendor in ("sqlite", "postgresql", "mysql")]
    return ["–" if expected is None else _CELLS[expected.kind] for expected in found]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    PAGE.write_text(markdown(), encoding="utf-8")
