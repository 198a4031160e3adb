"""``manage.py smoketest``: run the smoke tests from a shell, a deploy or a timer."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.core.management.color import no_style

from smoketest import conf, listing, renderers, runner, supervision, terminal
from smoketest.cleansing import cleanse
from smoketest.exceptions import InvalidSelection, UnknownFormat
from smoketest.options import Options
from smoketest.results import Report, TestResult
from smoketest.selection import Selection

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
        parser.add_argument(
            "--list",
            action="store_true",
            dest="list_only",
            help="Show the selected tests and run none; as text, or with --format json.",
        )
        parser.add_argument(
            "--format",
            metavar="NAME",
            help="How to write the report: " + ", ".join(renderers.formats()) + ", or one of"
            " SMOKETEST_RENDERERS. Without it the output is for a person.",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run as any command; every ``CommandError`` is wrong usage or configuration."""
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            error.returncode = WRONG_USAGE
            raise

    def handle(self, *args: Any, **options: Any) -> None:
        """Run or list the tests, write the report, and exit with its status."""
        with _usage_errors():
            selection, limits = _selection(options), _limits(options)
            renderer = self._renderer(options["format"])
            if options["list_only"]:
                self._list(selection, limits, options["format"])
                return
            threads = set(threading.enumerate())
            with self._supervised(limits.deadline) as watched:
                report = runner.run(
                    selection,
                    limits,
                    on_start=watched.on_start,
                    on_result=watched.and_then(self._on_result(options)),
                )
            report = cleanse(report)
        self._write(self._rendered(report, renderer, options), self.stdout)
        self._exit(report, threads)

    def _supervised(self, deadline: float) -> AbstractContextManager[supervision.Watched]:
        """Let the deadline hold from outside too, where the process is this command's own."""
        ours = getattr(self, "_called_from_command_line", False)
        if ours and threading.current_thread() is threading.main_thread():
            return supervision.supervised(deadline)
        return nullcontext(supervision.Watched())

    def _renderer(self, name: str | None) -> renderers.Renderer | None:
        if name is None:
            return None
        return renderers.get(name, conf.renderers())

    def _list(self, selection: Selection, options: Options, name: str | None) -> None:
        if name not in (None, "text", "json"):
            raise CommandError(
                f"--list cannot be written as {name!r}: there is no report before a run."
                " Use --format text or --format json."
            )
        candidates = runner.select(selection, options)
        as_format = listing.as_json if name == "json" else listing.as_text
        self._write(as_format(candidates), self.stdout)
        if not candidates:
            self._write("Nothing is selected, and that is never a pass.\n", self.stderr)
            sys.exit(COULD_NOT_TELL)

    def _on_result(self, options: dict[str, Any]) -> Callable[[TestResult], None]:
        if options["verbosity"] < 2:
            return lambda result: None
        # What a format is written to has nothing else on it.
        stream = self.stderr if options["format"] else self.stdout
        style = self._style(stream, options)

        def on_result(result: TestResult) -> None:
            self._write(terminal.result_line(result, style) + "\n", stream)

        return on_result

    def _rendered(
        self, report: Report, renderer: renderers.Renderer | None, options: dict[str, Any]
    ) -> str:
        if renderer is not None:
            return renderer.render(report)
        style = self._style(self.stdout, options)
        lines = terminal.report_lines(report, style, options["verbosity"])
        return "".join(f"{line}\n" for line in lines)

    def _style(self, stream: OutputWrapper, options: dict[str, Any]) -> terminal.Style:
        # Django's own style asks sys.stdout alone whether it is a terminal.
        wanted = stream.isatty() and not os.environ.get("NO_COLOR")
        return self.style if wanted or options["force_color"] else no_style()

    def _write(self, text: str, stream: OutputWrapper) -> None:
        """Write ``text`` whatever the encoding of ``stream``, and whether or not it is read."""
        encoding = getattr(stream, "encoding", None) or "utf-8"
        text = text.encode(encoding, "backslashreplace").decode(encoding)
        try:
            stream.write(text, style_func=str, ending="")
            stream.flush()
        except BrokenPipeError:
            _discard(stream)

    def _exit(self, report: Report, threads_before: set[threading.Thread]) -> None:
        cut_off = any(result.timed_out or result.cut_off for result in report.results)
        left_over = set(threading.enumerate()) - threads_before
        in_own_process = getattr(self, "_called_from_command_line", False)
        if cut_off and left_over and in_own_process:
            _exit_now(report.exit_status)
        if report.exit_status:
            sys.exit(report.exit_status)


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


def _selection(options: dict[str, Any]) -> Selection:
    groups = ("labels", "tags", "exclude_tags", "patterns")
    return Selection(**{group: tuple(options[group] or ()) for group in groups})


def _limits(options: dict[str, Any]) -> Options:
    given = {
        name: options[name]
        for name in ("parallel", "timeout", "deadline")
        if options[name] is not None
    }
    for name, value in given.items():
        if not (math.isfinite(value) and 0 < value <= threading.TIMEOUT_MAX):
            raise CommandError(f"--{name} is {value!r}, and must be a number above 0.")
    return conf.options(failfast=options["failfast"], **given)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Turn what is wrong with the arguments or the settings into a ``CommandError``."""
    try:
        yield
    except (InvalidSelection, UnknownFormat, ImproperlyConfigured) as error:
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
