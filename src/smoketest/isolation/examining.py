"""Asks a server, over a second connection, what became of a run's transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from .proofs import Evidence

CONNECT_SECONDS = 2
"""How long the second connection may take to be made."""
_INTERVAL = 0.02
"""Seconds until a server is asked again about what has not ended yet."""

Told = tuple[str, str]
"""The test, and what there is to say of it."""


@dataclass
class Findings:
    """What became of the transactions of a run in one database."""

    transactions: int = 0
    committed: list[Told] = field(default_factory=list)
    """What was committed, or may have been, because a transaction ended before its test."""
    unknown: list[Told] = field(default_factory=list)
    """Where nobody could say."""
    callers: bool = False
    """Whether they were part of the caller's own transaction, whose end is the caller's."""


def examine(alias: str, evidence: Sequence[Evidence], patience: float) -> Findings:
    """Return what became of the transactions that ``evidence`` is of.

    Waits at most ``patience`` seconds for what was cut off and has not ended yet.
    """
    own = [one for one in evidence if "callers" not in one.marks]
    findings = Findings(len(own), callers=len(own) < len(evidence))
    wrapper: Any = connections.create_connection(alias)
    ask = _QUESTIONS.get(wrapper.vendor)
    if ask is None:
        _ask_sessions(own, findings, patience)
    elif own:
        _ask_server(wrapper, ask, own, findings, patience)
    for one in own:
        if one.end:
            findings.committed.append((one.subject, one.end))
    return findings


def _ask_sessions(evidence: Sequence[Evidence], findings: Findings, patience: float) -> None:
    """Wait until they have ended what was cut off: there is nobody else to ask."""
    until = monotonic() + patience
    while (left := [one for one in evidence if one.end is None]) and monotonic() < until:
        sleep(_INTERVAL)
    findings.unknown += [(one.subject, _NOT_SEEN) for one in left]


Ask = Callable[[Any, Sequence[Evidence], Findings], Sequence[Evidence]]
"""Asks with a cursor, adds to the findings, and returns what has not ended yet."""

_NOT_SEEN = "its connection was lost or cut off before its end"
_UNFINISHED = "it has not ended yet at the server"
_DENIED = (
    "its connection was lost or cut off before its end, and MySQL tells this user nothing of"
    " prepared transactions: GRANT XA_RECOVER_ADMIN ON *.* TO it"
)
_XAER_RMERR = 1401
"""What MySQL says to who has no such privilege; MariaDB asks for none."""


def _ask_server(
    wrapper: Any, ask: Ask, evidence: Sequence[Evidence], findings: Findings, patience: float
) -> None:
    try:
        with closing(_connect(wrapper)) as driver, closing(driver.cursor()) as cursor:
            until = monotonic() + patience
            while (evidence := ask(cursor, evidence, findings)) and monotonic() < until:
                sleep(_INTERVAL)
    except (wrapper.Database.Error, ImproperlyConfigured) as error:
        findings.unknown.append(("", str(error).strip()))
    else:
        findings.unknown += [(one.subject, _UNFINISHED) for one in evidence]


def _connect(wrapper: Any) -> Any:
    """Connect by the driver: neither the site's pool nor a guard has part in it."""
    parameters = wrapper.get_connection_params()
    driver = wrapper.Database.connect(**{"connect_timeout": CONNECT_SECONDS, **parameters})
    # What has ended since the first look must be seen at the second.
    if callable(driver.autocommit):
        driver.autocommit(True)
    else:
        driver.autocommit = True
    return driver


def _ask_postgresql(
    cursor: Any, evidence: Sequence[Evidence], findings: Findings
) -> list[Evidence]:
    # https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT
    ids = [one.marks["xid"] for one in evidence if one.marks["xid"]]
    cursor.execute("SELECT x, pg_xact_status(x::xid8) FROM unnest(%s::text[]) AS x", [ids])
    status = dict(cursor.fetchall())
    unfinished = []
    for one in evidence:
        match status.get(one.marks["xid"]):
            case "committed":
                told = f"the server says that its transaction {one.marks['xid']} is committed"
                findings.committed.append((one.subject, told))
            case "in progress":
                unfinished.append(one)
            # A standby gives no ids, and what was begun there cannot have written.
            case None if one.end is None and one.marks["xid"]:  # long ago
                findings.unknown.append((one.subject, _NOT_SEEN))
    return unfinished


def _ask_mysql(cursor: Any, evidence: Sequence[Evidence], findings: Findings) -> list[Evidence]:
    prepared = _prepared(cursor)
    if prepared is None:
        # The counters of a session whose end was seen say that it has prepared nothing.
        findings.unknown += [(one.subject, _DENIED) for one in evidence if one.end is None]
        return []
    for one in evidence:
        if one.marks["xa"] in prepared:
            told = f"its transaction {one.marks['xa']!r} is prepared, so it can be committed"
            findings.committed.append((one.subject, told))
    evidence = [one for one in evidence if one.marks["xa"] not in prepared]
    cursor.execute("SELECT id FROM information_schema.processlist")
    sessions = {str(id) for (id,) in cursor.fetchall()}
    return [one for one in evidence if one.end is None and one.marks["session"] in sessions]


def _prepared(cursor: Any) -> set[str] | None:
    """Return the names of all prepared transactions; ``None`` if the user may not ask."""
    # https://mariadb.com/kb/en/xa-transactions/
    try:
        cursor.execute("XA RECOVER")
    except Exception as error:
        if error.args[:1] == (_XAER_RMERR,):
            return None
        raise
    return {_text(row[-1]) for row in cursor.fetchall()}


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


_QUESTIONS: dict[str, Ask] = {"postgresql": _ask_postgresql, "mysql": _ask_mysql}
"""SQLite has no server that could be asked: its sessions know all that there is to know."""


def in_words(told: Iterable[Told], most: int = 10) -> Iterator[str]:
    """Yield a line for each, and how many more there are than ``most``."""
    told = list(told)
    for subject, what in told[:most]:
        yield f"{subject}: {what}" if subject else what
    if len(told) > most:
        yield f"and {len(told) - most} more"
