"""The rows of the page as markup, in which nothing that was said is more than text.

A page may have thousands of rows, so they are put together here and not by a template,
which takes five times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import islice
from urllib.parse import quote

from smoketest.escaping import one_line, uncoloured, visible
from smoketest.findings import MOST_ACCOUNTS
from smoketest.spelling import counted
from smoketest.tracebacks import own_frames

from .rows import FOLDING, Account, Row

MOST_NAMES = 100
"""Names of nodes in one row; the others are counted."""


def group(found: Sequence[Row]) -> str:
    """Return rows of one class as a list that is folded under its name and its longest time."""
    owner = escape(one_line(found[0].id.rpartition(".")[0]))
    slowest = max(found, key=lambda row: row.seconds)
    return (
        f'<details class="group"><summary><code>{owner}</code>'
        f" <small>{counted(len(found), 'test')}</small> {_time(slowest)}</summary>\n"
        f"<ul>\n{''.join(map(markup, found))}</ul></details>\n"
    )


def markup(row: Row) -> str:
    """Return ``row`` as an element of a list."""
    return (
        f'<li class="test {row.label}" id="{escape(row.anchor)}">{_folding(row)}'
        f'<a class="anchor" href="#{quote(row.anchor)}"'
        f' aria-label="Link to {_name(row)}">#</a></li>\n'
    )


def _folding(row: Row) -> str:
    if row.label not in FOLDING:
        return f'<div class="line">{_line(row)}</div>\n{_story(row)}'
    opened = "" if row.label == "warned" else " open"
    return f"<details{opened}><summary>{_line(row)}</summary>\n{_story(row)}</details>"


def _line(row: Row) -> str:
    owner, dot, name = one_line(row.id).rpartition(".")
    said = f' <small class="notes">{escape(row.notes)}</small>' if row.notes else ""
    return (
        f'<b class="label">{row.label}</b> <code><span class="owner">{escape(owner)}{dot}</span>'
        f'<span class="name">{escape(name)}</span></code>{_where(row)}{said} {_time(row)}'
    )


def _time(row: Row) -> str:
    bar = f'<rect width="{row.width}" height="100%"/>'
    return (
        f'<svg class="bar" aria-hidden="true">{bar}</svg>'
        f' <small class="duration">{row.seconds:.3f} s</small>'
    )


def _name(row: Row) -> str:
    return escape(one_line(row.id).rpartition(".")[2])


def _where(row: Row) -> str:
    if not row.nodes:
        return ""
    alone = len(row.nodes) == 1
    where = one_line(row.nodes[0]) if alone else f"{len(row.nodes)} of {row.of_nodes} nodes"
    return f' <small class="on">on {escape(where)}</small>'


def _story(row: Row) -> str:
    return "".join(
        (
            _paragraph("description", escape(one_line(row.description))),
            *(_account(row, account) for account in row.accounts[:MOST_ACCOUNTS]),
            _further(row.accounts[MOST_ACCOUNTS:]),
            _paragraph("runbook", _runbook(row.runbook)),
            _paragraph("command", _copied(row.command)),
        )
    )


def _paragraph(name: str, inside: str) -> str:
    return f'<p class="{name}">{inside}</p>\n' if inside else ""


def _account(row: Row, account: Account) -> str:
    said = _said(account)
    if not row.nodes or row.label not in FOLDING:
        return said
    where = _paragraph("nodes", _capitalised(names(account.nodes)))
    return f'<div class="account">{where}{said}</div>\n'


def _said(account: Account) -> str:
    if not account.message and not account.place and not account.traceback:
        return ""
    whole = visible(account.traceback).strip("\n")
    own = own_frames(f"{whole}\n").strip("\n") if whole else ""
    place = escape(account.place)
    return (
        _preformatted("message", _message(account.message))
        + _paragraph("place", place and f"<code>{place}</code>")
        + _preformatted("traceback", escape(own))
        + (_all_frames(whole) if whole != own else "")
    )


def _preformatted(name: str, inside: str) -> str:
    return f'<pre class="{name}">{inside}</pre>\n' if inside else ""


def _all_frames(traceback: str) -> str:
    shown = f"<summary>Show all frames</summary><pre>{escape(traceback)}</pre>"
    return f'<details class="all">{shown}</details>\n'


def names(nodes: Sequence[str]) -> str:
    """Return the names of ``nodes`` after their number, as many as can be read."""
    shown = ", ".join(f"<code>{escape(one_line(node))}</code>" for node in nodes[:MOST_NAMES])
    more = len(nodes) - MOST_NAMES
    before = f"{counted(len(nodes), 'node')}: " if len(nodes) > 1 else ""
    return f"on {before}{shown}" + (f" and {more} more" if more > 0 else "") if shown else ""


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _further(accounts: Sequence[Account]) -> str:
    nodes = [node for account in accounts for node in account.nodes]
    if not nodes:
        return ""
    return f'<p class="nodes">Something else again {names(nodes)}</p>\n'


def _runbook(url: str) -> str:
    # Anything else might be a script: javascript:…
    is_link = url.startswith(("https://", "http://"))
    shown = escape(url)
    link = f'<a href="{shown}" rel="noreferrer">{shown}</a>' if is_link else shown
    return f"Runbook: {link}" if url else ""


def _copied(command: str) -> str:
    if not command:
        return ""
    button = '<button type="button" class="copy" hidden>Copy</button>'
    return f"Run it again: <code>{escape(command)}</code> {button}"


_SIGNS = {"- ": "del", "+ ": "ins", "? ": "i", "  ": ""}
"""How a line of a diff begins (difflib.ndiff), and the element that it is shown in."""


def _message(message: str) -> str:
    """Return ``message``, each line of a diff in the element for it."""
    text = visible(uncoloured(message)).strip("\n")
    lines = text.split("\n")
    if not _is_diff(lines):
        return escape(text)
    return "\n".join(_marked(line) for line in lines)


def _marked(line: str) -> str:
    element = _SIGNS.get(line[:2], "")
    return f"<{element}>{escape(line)}</{element}>" if element else escape(line)


def _is_diff(lines: list[str]) -> bool:
    """Whether a diff stands below the first line; a list with dashes is none."""
    signs = {line[:2] for line in islice(lines, 1, None)} & _SIGNS.keys()
    return len(signs) > 1 and bool(signs & {"- ", "+ "})


BLANK = Row(
    id="_._",
    anchor="_",
    label="failed",
    description="_",
    seconds=0.0,
    width="0%",
    notes="_",
    # An own frame and another, so that there are both tracebacks.
    accounts=[Account((), "_", "_", '  File "_", line 1, in _\n  File "<frozen _>", line 1, in _')],
    runbook="https://_",
    command="_",
)
"""A test that has everything: the script fills its own in there."""
