"""``manage.py smoketest``: run the smoke tests from a shell, a deploy or a timer."""

from __future__ import annotations

import logging
import math
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Any, NoReturn, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.core.management.color import no_style

from smoketest import conf, listing, outputs, renderers, runner, supervision, terminal
from smoketest.cleansing import cleanse, cleanse_result
from smoketest.exceptions import CannotIsolate, InvalidSelection, SmokeTestError, UnknownFormat
from smoketest.options import Options
from smoketest.outputs import STDOUT, InvalidOutput, Output
from smoketest.progress import LiveLine, Progress, drawing, is_wanted
from smoketest.results import Report, TestResult
from smoketest.selection import Selection
from smoketest.waiting import Waiting

T = TypeVar("T")

Listener = Callable[[TestResult], None]

WRONG_USAGE = 2
COULD_NOT_TELL = 3


class Command(BaseCommand):
    """Exits with 0 passed, 1 failed, 2 wrong usage or configuration, 3 could not tell.

    Under ``call_command`` that is nothing, ``SystemExit`` with 1 or 3, or a
    ``CommandError`` whose ``returncode`` is 2.
    """

    help = (
        "Run the smoke tests of this project. Whatever they write to a database is rolled"
        " back. Exit status: 0 passed, 1 failed, 2 wrong usage or configuration, 3 could"
        " not tell (nothing found or selected, or deadline reached with nothing failed)."
    )
    # The settings that count are validated as they are read. The project's own checks
    # take time, may need a database, and would end the process with a status of theirs.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the arguments; words and meanings are those of Django's ``test``."""
        _add_selection(parser)
        _add_limits(parser)
        _add_outputs(parser)
        parser.add_argument(
            "--list",
            action="store_true",
            dest="list_only",
            help="Show the selected tests and run none; as text, or with --format json.",
        )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser, and remember how this command was called."""
        self._program = terminal.program(prog_name, subcommand)
        return super().create_parser(prog_name, subcommand, **kwargs)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run as any command; every ``CommandError`` is wrong usage or configuration."""
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            error.returncode = _usage_status(options)
            raise
        except KeyboardInterrupt:
            self._write("Interrupted before there was a report.\n", self.stderr)
            sys.exit(COULD_NOT_TELL)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run or list the tests, write the report, and exit with its status."""
        with _usage_errors():
            selection, limits = _selection(options), _limits(options)
            targets = _outputs(options)
            if options["list_only"]:
                self._list(selection, limits, options)
                return
            for target in targets:
                target.check()
            if limits.isolate and not self._has_process():
                raise CommandError(
                    "--isolate starts processes, and this one is not the command's own: it was"
                    " called from Python. Leave --isolate out, or run manage.py smoketest."
                )
            threads = set(threading.enumerate())
            with self._interruptible():
                report = cleanse(self._run(selection, limits, targets, options))
                written = self._deliver(report, targets, options)
        self._exit(report, threads, _status(report, targets, written))

    def _run(
        self,
        selection: Selection,
        limits: Options,
        targets: Sequence[Output],
        options: dict[str, Any],
    ) -> Report:
        with self._supervised(limits.deadline) as watched, self._live(limits, options) as live:
            listeners = [watched.on_result, *self._listeners(targets, options, live)]
            waiting = Waiting(
                selection,
                limits,
                on_start=_all_of([watched.on_start, live.progress.on_start]),
                on_begin=live.progress.on_begin,
                on_result=_all_of([*listeners, live.progress.on_result]),
            )
            return waiting.run(options["wait"] or 0.0)

    def _supervised(self, deadline: float) -> AbstractContextManager[supervision.Watched]:
        """Let the deadline hold from outside too, where the process is this command's own."""
        if self._has_process():
            return supervision.supervised(deadline)
        return nullcontext(supervision.Watched())

    def _has_process(self) -> bool:
        """Whether the process is this command's own, and its signals are."""
        ours = getattr(self, "_called_from_command_line", False)
        return ours and threading.current_thread() is threading.main_thread()

    def _interruptible(self) -> AbstractContextManager[None]:
        return _two_interrupts() if self._has_process() else nullcontext()

    def _live(self, limits: Options, options: dict[str, Any]) -> LiveLine:
        """Return the live line, which shows nothing where nobody looks at it."""
        draw = drawing(colour=self._has_colour(self.stderr, options))
        # It is drawn by a thread, and a process that has one must not fork.
        wanted = is_wanted(self.stderr, options["verbosity"]) and not limits.isolate
        return LiveLine(
            Progress(limits.deadline), _Raw(self, self.stderr), draw if wanted else None
        )

    def _list(self, selection: Selection, limits: Options, options: dict[str, Any]) -> None:
        name = options["format"]
        if options["outputs"]:
            raise CommandError(
                "--list goes to standard output, and --output is for reports, of which there"
                " is none before a run. Use --format text or --format json."
            )
        if name not in (None, "text", "json"):
            raise CommandError(
                f"--list cannot be written as {name!r}: there is no report before a run."
                " Use --format text or --format json."
            )
        candidates = runner.select(selection, limits)
        as_format = listing.as_json if name == "json" else listing.as_text
        self._write(as_format(candidates), self.stdout)
        if not candidates:
            self._write("Nothing is selected, and that is never a pass.\n", self.stderr)
            sys.exit(COULD_NOT_TELL)

    def _listeners(
        self, targets: Sequence[Output], options: dict[str, Any], live: LiveLine
    ) -> Iterator[Listener]:
        """Yield what is done about each result at once; all of it clears the live line."""
        on_stdout = _on_stdout(targets)
        render_result = getattr(on_stdout, "render_result", None)
        if render_result is not None:

            def stream(result: TestResult) -> None:
                with live.aside():
                    self._write(render_result(cleanse_result(result)), self.stdout)

            yield stream
        if options["verbosity"] >= 2:
            # What a format is written to has nothing else on it.
            stream_of_lines = self.stderr if on_stdout else self.stdout
            style = self._style(stream_of_lines, options)

            def tell(result: TestResult) -> None:
                lines = terminal.result_lines(cleanse_result(result), style)
                with live.aside():
                    self._write("".join(f"{line}\n" for line in lines), stream_of_lines)

            yield tell

    def _deliver(self, report: Report, targets: Sequence[Output], options: dict[str, Any]) -> bool:
        """Write the report everywhere; return whether that could be done."""
        failures = list(_written(report, targets))
        on_stdout = _on_stdout(targets)
        if on_stdout is None:
            self._write(self._for_a_person(report, options), self.stdout)
        else:
            render = getattr(on_stdout, "render_end", on_stdout.render)
            self._write(render(report), self.stdout)
            if options["durations"] is not None:
                lines = terminal.slowest_lines(report, options["durations"])
                self._write("".join(f"{line}\n" for line in lines), self.stderr)
        for failure in failures:
            self._write(f"{failure}\n", self.stderr)
        return not failures

    def _for_a_person(self, report: Report, options: dict[str, Any]) -> str:
        lines = terminal.report_lines(
            report,
            self._style(self.stdout, options),
            options["verbosity"],
            durations=options["durations"],
            program=" ".join([self._program, *_location(options)]),
        )
        return "".join(f"{line}\n" for line in lines)

    def _style(self, stream: OutputWrapper, options: dict[str, Any]) -> terminal.Style:
        return self.style if self._has_colour(stream, options) else no_style()

    def _has_colour(self, stream: OutputWrapper, options: dict[str, Any]) -> bool:
        # Django's own style asks sys.stdout alone whether it is a terminal.
        wanted = stream.isatty() and not os.environ.get("NO_COLOR") and not options["no_color"]
        return wanted or bool(options["force_color"])

    def _write(self, text: str, stream: OutputWrapper) -> None:
        """Write ``text`` whatever the encoding of ``stream``, and whether or not it is read."""
        encoding = getattr(stream, "encoding", None) or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        try:
            stream.write(text, style_func=str, ending="")
            stream.flush()
        except BrokenPipeError:
            _discard(stream)

    def _exit(self, report: Report, threads_before: set[threading.Thread], status: int) -> None:
        cut_off = any(result.timed_out or result.cut_off for result in report.results)
        left_over = set(threading.enumerate()) - threads_before
        in_own_process = getattr(self, "_called_from_command_line", False)
        if cut_off and left_over and in_own_process:
            _exit_now(status)
        if status:
            sys.exit(status)


class _Raw:
    """A stream of a command, without Django's ends of lines and colours."""

    def __init__(self, command: Command, stream: OutputWrapper) -> None:
        self._command = command
        self._stream = stream

    def write(self, text: str) -> None:
        """Write ``text`` as it is."""
        self._command._write(text, self._stream)

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._stream.fileno()


def _add_selection(parser: CommandParser) -> None:
    parser.add_argument(
        "labels",
        nargs="*",
        metavar="LABEL",
        help="App label, or dotted path of a package, module, class or method.",
    )
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


def _add_limits(parser: CommandParser) -> None:
    parser.add_argument(
        "--failfast", action="store_true", help="Stop at the first failure that fails the run."
    )
    parser.add_argument(
        "--parallel", type=int, metavar="N", help="Tests at the same time; 1 is serial."
    )
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="Seconds for a test without its own limit."
    )
    parser.add_argument("--deadline", type=float, metavar="S", help="Seconds for the whole run.")
    parser.add_argument(
        "--isolate",
        action="store_true",
        help="Run each test class in a process of its own, which can be killed.",
    )
    parser.add_argument(
        "--wait",
        type=float,
        metavar="S",
        help="Run what failed again, every second, until it passes or S seconds are over.",
    )


def _add_outputs(parser: CommandParser) -> None:
    parser.add_argument(
        "--format",
        metavar="NAME",
        help="How to write the report: " + ", ".join(renderers.formats()) + ", or one of"
        " SMOKETEST_RENDERERS. Without it the output is for a person.",
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


def _selection(options: dict[str, Any]) -> Selection:
    groups = ("labels", "tags", "exclude_tags", "patterns")
    return Selection(**{group: tuple(options[group] or ()) for group in groups})


def _limits(options: dict[str, Any]) -> Options:
    given = {
        name: options[name]
        for name in ("parallel", "timeout", "deadline", "wait")
        if options[name] is not None
    }
    for name, value in given.items():
        if not (math.isfinite(value) and 0 < value <= threading.TIMEOUT_MAX):
            raise CommandError(f"--{name} is {value!r}, and must be a number above 0.")
    given.pop("wait", None)  # is about several runs, not about one
    return conf.options(failfast=options["failfast"], isolate=options["isolate"], **given)


def _outputs(options: dict[str, Any]) -> list[Output]:
    durations = options["durations"]
    if durations is not None and durations < 0:
        raise CommandError(f"--durations is {durations!r}, and must be 0 (all tests) or more.")
    on_stdout = [f"{options['format']}:{STDOUT}"] if options["format"] is not None else []
    return outputs.parse([*on_stdout, *options["outputs"]], conf.renderers())


def _on_stdout(targets: Sequence[Output]) -> Any:
    """Return the renderer of what goes to standard output, or ``None``: it is a person's."""
    return next((target.renderer for target in targets if target.is_stdout), None)


def _written(report: Report, targets: Sequence[Output]) -> Iterator[str]:
    """Write all that does not go to standard output; yield what has become impossible."""
    for target in targets:
        try:
            if not target.is_stdout:
                target.write(report)
        except OSError as error:
            yield f"The report could not be written to {target.file!r}: {error}."


def _status(report: Report, targets: Sequence[Output], written: bool) -> int:
    """Return the exit status, which a format on standard output may define for itself."""
    exit_status = getattr(_on_stdout(targets), "exit_status", None)
    status = report.exit_status if exit_status is None else exit_status(report)
    return status or (0 if written else WRONG_USAGE)


def _usage_status(options: dict[str, Any]) -> int:
    """Return the status of wrong usage; where a format has statuses of its own, "unknown"."""
    try:
        on_stdout = _on_stdout(_outputs(options))
    except (CommandError, SmokeTestError, ImproperlyConfigured):
        return WRONG_USAGE
    return COULD_NOT_TELL if hasattr(on_stdout, "exit_status") else WRONG_USAGE


def _location(options: dict[str, Any]) -> Iterator[str]:
    """Yield those of Django's own options without which the tests would not be found."""
    for name in ("settings", "pythonpath"):
        if options.get(name):
            yield f"--{name}={shlex.quote(options[name])}"


def _all_of(callbacks: Sequence[Callable[[T], None]]) -> Callable[[T], None]:
    def call(value: T) -> None:
        for callback in callbacks:
            callback(value)

    return call


@contextmanager
def _two_interrupts() -> Iterator[None]:
    """Let the first Ctrl-C end the run with a report, and the second one the process."""
    before = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Turn what is wrong with the arguments or the settings into a ``CommandError``."""
    try:
        yield
    except (
        CannotIsolate,
        ImproperlyConfigured,
        InvalidOutput,
        InvalidSelection,
        UnknownFormat,
    ) as error:
        raise CommandError(str(error)) from error


def _discard(stream: OutputWrapper) -> None:
    """Let what is still written to ``stream`` vanish: nobody reads it any more.

    Else Python fails once more when it flushes the stream at its end, with a status
    of its own (https://docs.python.org/3/library/signal.html#note-on-sigpipe).
    """
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)


def _exit_now(status: int) -> NoReturn:
    """End the process though a test that was cut off still runs in a thread of its own.

    Python waits at its end for some threads, and for those of a ``ThreadPoolExecutor``
    even if they are daemons
    (https://docs.python.org/3/library/concurrent.futures.html#threadpoolexecutor).
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
