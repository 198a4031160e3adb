"""Where reports go: a format and a file each, known to be writable before any test runs.

A file is replaced in one step when its report is complete. So nobody ever reads half
a report, and the report of the last run stays where it is if this run dies.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from smoketest import renderers
from smoketest.exceptions import SmokeTestError
from smoketest.renderers import Extra, Renderer
from smoketest.results import Report

STDOUT = "-"


class InvalidOutput(SmokeTestError):
    """``--output`` is not ``FORMAT:FILE``, or names what cannot be written."""


@dataclass(frozen=True)
class Output:
    """One report to write."""

    renderer: Renderer
    file: str
    """A path, or ``-`` for standard output."""
    _named_by: ClassVar[str] = "--output"
    """What a message calls the place where the file was named."""

    @property
    def is_stdout(self) -> bool:
        """Whether it goes to standard output."""
        return self.file == STDOUT

    def check(self) -> None:
        """Raise :class:`InvalidOutput` if the file cannot be written; it is left as it is."""
        try:
            if not self.is_stdout:
                check(self.file)
        except OSError as error:
            raise InvalidOutput(
                f"{self._named_by} names {self.file!r}, which cannot be written: {_why(error)}. "
                "No test has run. Name a file that this user may write, in a folder that exists."
            ) from error

    def write(self, report: Report) -> None:
        """Write ``report``; raise ``OSError`` where that has become impossible."""
        text = self.renderer.render(report)
        write(self.file, text.encode(self.renderer.charset, "backslashreplace"))


@dataclass(frozen=True)
class Summary(Output):
    """What a renderer with a method ``summary`` adds to the page of a GitHub job.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """

    _named_by: ClassVar[str] = "GITHUB_STEP_SUMMARY"

    def write(self, report: Report) -> None:
        """Add the summary to the file, in which other steps may have written."""
        summary: Callable[[Report], str] = getattr(self.renderer, "summary")  # noqa: B009
        with Path(self.file).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(summary(report))


def parse(
    specifications: Sequence[str],
    extra: Extra = (),
    environment: Mapping[str, str] = os.environ,
) -> list[Output]:
    """Return what each ``FORMAT:FILE`` means, and the summary that GitHub Actions takes.

    Raises :class:`InvalidOutput`, also where two have one file, and ``UnknownFormat``.
    """
    outputs = [_parsed(one, extra) for one in specifications]
    seen: set[str] = set()
    for output in outputs:
        target = output.file if output.is_stdout else os.path.realpath(output.file)
        if target in seen:
            raise _spoiled(output)
        seen.add(target)
    return outputs + _summaries(outputs, environment)


def _spoiled(output: Output) -> InvalidOutput:
    where = "Standard output" if output.is_stdout else repr(output.file)
    return InvalidOutput(
        f"{where} is to get two reports, and the one would spoil the other. "
        "Name a file for each with --output FORMAT:FILE."
    )


def _summaries(outputs: Sequence[Output], environment: Mapping[str, str]) -> list[Output]:
    file = environment.get("GITHUB_STEP_SUMMARY")
    if environment.get("GITHUB_ACTIONS") != "true" or not file:
        return []
    able = [output.renderer for output in outputs if hasattr(output.renderer, "summary")]
    return [Summary(renderer, file) for renderer in able[:1]]


def _parsed(specification: str, extra: Extra) -> Output:
    name, colon, file = specification.partition(":")
    if not colon or not file:
        raise InvalidOutput(
            f"--output is {specification!r}, and must be FORMAT:FILE. Write for example "
            "junit:smoketest.xml, or json:- for standard output."
        )
    return Output(renderers.get(name, extra), file)


def check(path: str) -> None:
    """Raise ``OSError`` if ``path`` cannot be written; what is there is left as it is."""
    target = Path(path).resolve()
    if target.is_file():
        target.open("ab").close()
    elif target.exists():
        if target.is_dir() or not os.access(target, os.W_OK):
            target.open("ab").close()  # says why not
    else:
        partial = _partial(target)
        partial.open("xb").close()
        partial.unlink()


def write(path: str, data: bytes) -> None:
    """Make ``data`` all that is in the file ``path``, in one step where that is possible."""
    target = Path(path).resolve()
    if _is_replaceable(target):
        _replace(target, data)
    else:
        target.write_bytes(data)


def _is_replaceable(target: Path) -> bool:
    """Whether it is no pipe or device, and no file in a folder that takes no other."""
    return (target.is_file() or not target.exists()) and os.access(target.parent, os.W_OK)


def _replace(target: Path, data: bytes) -> None:
    partial = _partial(target)
    try:
        with partial.open("xb") as file:
            file.write(data)
        if target.exists():
            shutil.copymode(target, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _partial(target: Path) -> Path:
    # Hidden, and with another ending: folders of reports are read by patterns (*.xml).
    return target.with_name(f".{target.name}.{os.getpid()}.partial")


def _why(error: OSError) -> str:
    return error.strerror or str(error)
