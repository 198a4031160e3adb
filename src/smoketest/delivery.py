"""Brings a report to where it belongs: streams, files, a person; and says how to exit.

The results go there as they come, where somebody wants to see them then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.management.color import Style

from smoketest import terminal
from smoketest.console import CannotWrite, Console, Raw, write, write_lines
from smoketest.outputs import Output
from smoketest.progress import LiveLine, Progress, drawing, is_wanted
from smoketest.results import Report, TestResult

Listener = Callable[[TestResult], None]

WRONG_USAGE = 2
COULD_NOT_TELL = 3


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Where one report goes; it is handed over with every secret taken out of it."""

    console: Console
    targets: Sequence[Output]
    verbosity: int
    """Django's, from 0 to 3."""
    durations: int | None
    """How many of the slowest tests are named, 0 for all."""
    program: str
    """What a person types to run tests again; labels follow."""
    option: str = ""
    """What a label has before it there, as in ``--test=``."""
    cleansed: Callable[[TestResult], TestResult]
    """Takes the secrets out of a result that is shown before the report."""

    @cached_property
    def on_stdout(self) -> Any:
        """The renderer of what goes to standard output, or ``None``: it is a person's."""
        return on_stdout(self.targets)

    @cached_property
    def _out(self) -> OutputWrapper:
        """Standard output; a program gets a format there as it is in a file."""
        out = self.console.out
        if hasattr(out, "reconfigure") and not out.isatty():
            out.reconfigure(encoding=self.on_stdout.charset)
        return out

    def live(self, progress: Progress, *, possible: bool = True) -> LiveLine:
        """Return the live line, which shows nothing where nobody looks at it."""
        err = self.console.err
        wanted = possible and is_wanted(err, self.verbosity)
        draw = drawing(colour=self.console.has_colour(err)) if wanted else None
        return LiveLine(progress, Raw(err), draw)

    def listeners(self, live: LiveLine) -> Iterator[Listener]:
        """Yield what is done about each result at once; all of it clears the live line."""
        yield from self.streams(live)
        if self.verbosity >= 2:

            def tell(result: TestResult) -> None:
                self.tell(terminal.result_lines(self.cleansed(result), self.style), live)

            yield tell

    def streams(self, live: LiveLine) -> Iterator[Listener]:
        """Yield what writes each result at once in the format of standard output, if any can."""
        render_result = getattr(self.on_stdout, "render_result", None)
        if render_result is not None:

            def stream(result: TestResult) -> None:
                with live.aside():
                    write(render_result(self.cleansed(result)), self._out)

            yield stream

    @cached_property
    def _beside(self) -> OutputWrapper:
        # What a format is written to has nothing else on it.
        return self.console.err if self.on_stdout else self.console.out

    @cached_property
    def style(self) -> Style:
        """How to colour what :meth:`tell` says."""
        return self.console.style(self._beside)

    def tell(self, lines: Iterable[str], live: LiveLine) -> None:
        """Say something to a person at once, and clear the live line for it."""
        with live.aside():
            write_lines(lines, self._beside)

    def deliver(self, report: Report) -> int:
        """Write ``report`` everywhere, and return the status to exit with."""
        failures = list(_written(report, self.targets))
        try:
            self._show(report)
        except CannotWrite as error:
            failures.append(str(error))
        write_lines(failures, self.console.err)
        return self._status(report) or (usage_status(self.targets) if failures else 0)

    def _show(self, report: Report) -> None:
        """Write ``report`` to standard output; raise ``CannotWrite`` where nobody will see it."""
        if self.on_stdout is None:
            self._tell_a_person(report)
            return
        render = getattr(self.on_stdout, "render_end", self.on_stdout.render)
        write(render(report), self._out)
        if self.durations is not None:
            write_lines(terminal.slowest_lines(report, self.durations), self.console.err)

    def _tell_a_person(self, report: Report) -> None:
        lines = terminal.report_lines(
            report,
            self.console.style(self.console.out),
            self.verbosity,
            durations=self.durations,
            program=self.program,
            option=self.option,
        )
        write_lines(lines, self.console.out)

    def _status(self, report: Report) -> int:
        """Return the exit status, which a format on standard output may define for itself."""
        exit_status = getattr(self.on_stdout, "exit_status", None)
        return report.exit_status if exit_status is None else int(exit_status(report))


def on_stdout(targets: Sequence[Output]) -> Any:
    """Return the renderer of what goes to standard output, or ``None``."""
    return next((target.renderer for target in targets if target.is_stdout), None)


def usage_status(targets: Sequence[Output]) -> int:
    """Return the status of wrong usage; where a format has statuses of its own, "unknown"."""
    return COULD_NOT_TELL if hasattr(on_stdout(targets), "exit_status") else WRONG_USAGE


def _written(report: Report, targets: Sequence[Output]) -> Iterator[str]:
    """Write all that does not go to standard output; yield what has become impossible."""
    for target in targets:
        try:
            if not target.is_stdout:
                target.write(report)
        except OSError as error:
            yield f"The report could not be written to {target.file!r}: {error}."
