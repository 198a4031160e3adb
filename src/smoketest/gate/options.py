"""The options of the gate: those of the command, and what asking many nodes takes."""

from __future__ import annotations

import re
import sys
from argparse import SUPPRESS, Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping
from typing import Any, NoReturn

from smoketest import arguments
from smoketest.delivery import COULD_NOT_TELL, WRONG_USAGE

from .credentials import VARIABLE
from .rounds import Patience

PROGRAM = "python -m smoketest"

DEADLINE = 30.0
"""Seconds. Some more than the default of SMOKETEST_DEADLINE, which is 25."""

CONCURRENCY = 100

MARGIN = 0.5
"""Seconds of the deadline that are left for the way back from a node."""


class _Parser(ArgumentParser):
    """One that ends as a plugin of Nagios does where it is called as one."""

    wrong = WRONG_USAGE
    """The exit status of wrong usage."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End the process; argparse's own 2 would be CRITICAL to Nagios, and 3 is UNKNOWN."""
        super().exit(self.wrong if status else 0, message)


def create_parser() -> _Parser:
    """Return the parser of the gate's command line."""
    parser = _Parser(
        prog=PROGRAM,
        allow_abbrev=False,
        formatter_class=RawDescriptionHelpFormatter,
        description=(
            "Ask the smoke tests of every node of a site, and give one verdict over all of them.\n"
            "No project is needed here, and no settings are read. Exit status: 0 passed,\n"
            "1 failed, 2 wrong usage, 3 could not tell."
        ),
    )
    parser.add_argument("urls", nargs="*", metavar="URL", help="Where a node has its smoke tests.")
    _add_nodes(parser)
    _add_credentials(parser)
    _add_selection(parser)
    _add_limits(parser)
    arguments.add_expectation(parser)
    arguments.add_outputs(parser)
    _add_looks(parser)
    return parser


def _add_nodes(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--nodes-file",
        metavar="FILE",
        help="Ask the URLs in this file as well, one a line; - is standard input.",
    )
    parser.add_argument(
        "--resolve",
        action="store_true",
        help="Ask every address (A and AAAA records) behind the name of a URL, with that name in"
        " Host and in TLS.",
    )


def _add_credentials(parser: ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--token-env",
        metavar="NAME",
        help=f"The environment variable that has the token, instead of {VARIABLE}.",
    )
    where.add_argument("--token-file", metavar="FILE", help="A file that has the token.")
    parser.add_argument("--token", nargs="?", action=_Secret, help=SUPPRESS)
    parser.add_argument(
        "--ca-file",
        metavar="FILE",
        help="Certificates (PEM) to trust, in the place of the system's.",
    )


class _Secret(Action):
    """Refuses a token on the command line, and does not repeat it."""

    def __call__(self, parser: ArgumentParser, *args: object, **kwargs: object) -> NoReturn:
        parser.error(
            "--token would show the token to everybody on this machine who lists processes."
            f" Put it into the environment variable {VARIABLE}, or name another one with"
            " --token-env, or a file with --token-file."
        )


def _add_selection(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--test",
        action="append",
        dest="labels",
        metavar="LABEL",
        help="Run only this app, package, module, class or method. Can be used multiple times.",
    )
    arguments.add_tags_and_patterns(parser)
    arguments.add_failfast(parser)


def _add_limits(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="Seconds for each test, where the node's own limit is not lower.",
    )
    parser.add_argument(
        "--deadline",
        type=float,
        metavar="S",
        help=f"Seconds for all nodes together, each time they are asked. Default: {DEADLINE:g}.",
    )
    parser.add_argument(
        "--wait",
        type=float,
        metavar="S",
        help="Ask again, every second, the nodes that did not pass, until all do or S seconds are"
        " over.",
    )
    parser.add_argument(
        "--consecutive",
        type=int,
        metavar="N",
        help="Ask all nodes again until they passed N times in a row.",
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        metavar="N",
        help=f"Nodes that are asked at the same time. Default: {CONCURRENCY}.",
    )


def _add_looks(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-v",
        "--verbosity",
        type=int,
        default=1,
        choices=range(4),
        help="0 is the verdict alone, 1 what failed, 2 each node as it answers, 3 each test and"
        " whole tracebacks.",
    )
    colour = parser.add_mutually_exclusive_group()
    colour.add_argument("--no-color", action="store_true", help="Write without colours.")
    colour.add_argument("--force-color", action="store_true", help="Write colours into a pipe.")


def parsed(words: list[str] | None) -> dict[str, Any]:
    """Return the options by their names; wrong usage ends the process with status 2.

    With ``nagios`` on standard output it is 3.
    """
    parser = create_parser()
    line = " ".join(sys.argv[1:] if words is None else words)
    if re.search(r"--format[ =]nagios\b|nagios:-( |$)", line):
        parser.wrong = COULD_NOT_TELL
    # So that a URL may follow an option that follows a URL.
    found: Namespace = parser.parse_intermixed_args(words)
    if not found.urls and found.nodes_file is None:
        parser.error("there is nobody to ask: name a URL, or a file of URLs with --nodes-file.")
    return vars(found)


def patience(options: Mapping[str, Any]) -> Patience:
    """Return how often to ask; raise ``InvalidArgument`` for a number that makes no sense."""
    given = arguments.positive(options, ("deadline", "wait", "consecutive"))
    return Patience(**{"deadline": DEADLINE, **given})


def concurrency(options: Mapping[str, Any]) -> int:
    """Return how many nodes to ask at a time; raise ``InvalidArgument`` for fewer than 1."""
    given = arguments.positive(options, ("concurrency",))
    return int(given.get("concurrency", CONCURRENCY))


def parameters(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what each node is asked in the query string, in the words of the endpoint.

    The deadline is sent where it was given; else each node keeps its own. It is the same for
    all, so that several callers may share a run.
    """
    given = arguments.positive(options, ("timeout", "deadline"))
    if "deadline" in given:
        given["deadline"] = max(given["deadline"] - MARGIN, given["deadline"] / 2)
    chosen = arguments.selection(options)
    words = [
        *(("test", label) for label in chosen.labels),
        *(("tag", tag) for tag in chosen.tags),
        *(("exclude-tag", tag) for tag in chosen.exclude_tags),
        *(("k", pattern) for pattern in chosen.patterns),
    ]
    flags = [("failfast", "1")] if options["failfast"] else []
    limits = [(name, f"{value:g}") for name, value in given.items()]
    return [("format", "json"), *words, *flags, *limits]
