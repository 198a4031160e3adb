"""The arguments of every program that prints reports, and how they are read."""

from __future__ import annotations

import math
import threading
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from typing import Any

from smoketest import outputs, renderers
from smoketest.exceptions import SmokeTestError
from smoketest.fleet import Expectation
from smoketest.outputs import STDOUT, Output
from smoketest.renderers import Extra
from smoketest.selection import Selection


class InvalidArgument(SmokeTestError):
    """An argument has a value that makes no sense, alone or beside another."""


def add_tags_and_patterns(parser: ArgumentParser) -> None:
    """Add the options that select tests; words and meanings are those of Django's ``test``."""
    parser.add_argument(
        "--tag",
        action="append",
        dest="tags",
        metavar="TAG",
        help="Run only tests with this tag. Can be used multiple times.",
    )
    parser.add_argument(
        "--exclude-tag",
        action="append",
        dest="exclude_tags",
        metavar="TAG",
        help="Do not run tests with this tag. Can be used multiple times.",
    )
    parser.add_argument(
        "-k",
        action="append",
        dest="patterns",
        metavar="PATTERN",
        help="Run only tests whose id has this in it, or matches it if it contains *."
        " Same as unittest -k. Can be used multiple times.",
    )


def add_failfast(parser: ArgumentParser) -> None:
    """Add ``--failfast``."""
    parser.add_argument(
        "--failfast", action="store_true", help="Stop at the first failure that fails the run."
    )


def add_outputs(parser: ArgumentParser, others: str = "") -> None:
    """Add where the report goes and in which form; ``others`` are formats not built in."""
    parser.add_argument(
        "--format",
        metavar="NAME",
        help=f"How to write the report: {', '.join(renderers.formats())}{others}."
        " Without it the output is for a person.",
    )
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        dest="outputs",
        metavar="FORMAT:FILE",
        help="Write the report to a file as well; - is standard output. Can be used multiple"
        " times.",
    )
    parser.add_argument(
        "--durations", type=int, metavar="N", help="Show the N slowest tests; 0 shows all."
    )


def add_expectation(parser: ArgumentParser) -> None:
    """Add what a fleet of nodes must be to pass."""
    parser.add_argument(
        "--expect-release", metavar="ID", help="Fail a node that runs another release."
    )
    parser.add_argument(
        "--expect-nodes", type=int, metavar="N", help="Fail unless at least N nodes answer."
    )
    parser.add_argument(
        "--at-least",
        type=int,
        metavar="N",
        help="Pass when N nodes do; failures of the others are warnings.",
    )


def expectation(options: Mapping[str, Any]) -> Expectation:
    """Return what the fleet must be; raise :class:`InvalidArgument` for a number below 1."""
    given = positive(options, ("at_least", "expect_nodes"))
    if options["expect_release"] == "":
        raise InvalidArgument(
            "--expect-release is empty, and would be content with any release. Give it the id"
            " of the release that was deployed, or leave it out."
        )
    return Expectation(
        at_least=given.get("at_least"),
        number=given.get("expect_nodes", 0),
        release=options["expect_release"] or "",
    )


def selection(options: Mapping[str, Any]) -> Selection:
    """Return what the parsed ``options`` select."""
    groups = ("labels", "tags", "exclude_tags", "patterns")
    return Selection(**{group: tuple(options[group] or ()) for group in groups})


def positive(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return those of the numbers ``names`` that were given.

    Raises :class:`InvalidArgument` for one that is not above 0, or that no lock waits for.
    """
    given = {name: options[name] for name in names if options[name] is not None}
    for name, value in given.items():
        if not (math.isfinite(value) and 0 < value <= threading.TIMEOUT_MAX):
            option = name.replace("_", "-")
            raise InvalidArgument(f"--{option} is {value!r}, and must be a number above 0.")
    return given


def targets(options: Mapping[str, Any], extra: Extra = ()) -> list[Output]:
    """Return where reports go by the parsed ``options``; ``extra`` are formats not built in.

    Raises :class:`InvalidArgument`, ``InvalidOutput`` and ``UnknownFormat``.
    """
    durations = options["durations"]
    if durations is not None and durations < 0:
        raise InvalidArgument(f"--durations is {durations!r}, and must be 0 (all tests) or more.")
    on_stdout = [f"{options['format']}:{STDOUT}"] if options["format"] is not None else []
    return outputs.parse([*on_stdout, *options["outputs"]], extra)
