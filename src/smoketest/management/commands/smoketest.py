"""``manage.py smoketest``: run the smoke tests from a shell, a deploy or a timer."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any, NoReturn, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper

from smoketest import (
    arguments,
    conf,
    history,
    listing,
    runner,
    supervision,
    terminal,
    wording,
    workers,
)
from smoketest.arguments import InvalidArgument
from smoketest.cleansing import cleanse, cleanse_result
from smoketest.console import (
    CannotWrite,
    Console,
    exit_now,
    exit_within,
    kept_for_reports,
    or_nowhere,
    write,
)
from smoketest.delivery import COULD_NOT_TELL, WRONG_USAGE, Delivery, usage_status
from smoketest.exceptions import CannotIsolate, InvalidSelection, SmokeTestError, UnknownFormat
from smoketest.fleet import Expectation
from smoketest.options import WORKER, Options
from smoketest.outputs import InvalidOutput, Output
from smoketest.progress import LiveLine, Progress
from smoketest.results import Report
from smoketest.selection import Selection
from smoketest.telling import Teller
from smoketest.waiting import Waiting

T = TypeVar("T")


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

    def __init__(self, stdout: Any = None, stderr: Any = None, **options: Any) -> None:
        super().__init__(
            stdout=stdout or or_nowhere(sys.stdout),
            stderr=stderr or or_nowhere(sys.stderr),
            **options,
        )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the arguments; words and meanings are those of Django's ``test``."""
        _add_labels(parser)
        arguments.add_tags_and_patterns(parser)
        arguments.add_failfast(parser)
        _add_limits(parser)
        _add_workers(parser)
        arguments.add_outputs(parser, ", or one of SMOKETEST_RENDERERS")
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
            with self._output_kept_for_reports():
                return super().execute(*args, **options)
        except CommandError as error:
            error.returncode = _usage_status(options)
            raise
        except KeyboardInterrupt:
            write("Interrupted before there was a report.\n", self.stderr)
            sys.exit(COULD_NOT_TELL)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run or list the tests, write the report, and exit with its status."""
        with _usage_errors():
            selection, limits = arguments.selection(options), _limits(options)
            expected = _expectation(options)
            delivery = self._delivery(options)
            if options["list_only"]:
                self._list(selection, limits, options)
                return
            self._check(delivery, limits)
            threads = set(threading.enumerate())
            run = partial(self._run_on_workers, expected) if expected else self._run
            with self._interruptible(signal.SIGINT, *((signal.SIGTERM,) if expected else ())):
                report = cleanse(run(selection, limits, delivery, options["wait"] or 0.0))
                status = delivery.deliver(report)
                if not expected:
                    history.record(report, selection)
        self._exit(report, threads, limits, status)

    def _check(self, delivery: Delivery, limits: Options) -> None:
        """Raise where a run would be in vain: while no test has run, nothing is lost."""
        for target in delivery.targets:
            target.check()
        if limits.isolate and not self._has_process():
            raise CommandError(
                "--isolate starts processes, and this one is not the command's own: it was"
                " called from Python. Leave --isolate out, or run manage.py smoketest."
            )

    def _delivery(self, options: Mapping[str, Any]) -> Delivery:
        return Delivery(
            console=Console(
                out=self.stdout,
                err=self.stderr,
                colours=self.style,
                no_color=options["no_color"],
                force_color=options["force_color"],
            ),
            targets=_targets(options),
            verbosity=options["verbosity"],
            durations=options["durations"],
            program=" ".join([self._program, *_location(options)]),
            cleansed=cleanse_result,
        )

    def _run(
        self, selection: Selection, limits: Options, delivery: Delivery, patience: float
    ) -> Report:
        with (
            self._supervised(limits.deadline) as watched,
            _live(limits, delivery) as live,
        ):
            listeners = [watched.on_result, *delivery.listeners(live), live.progress.on_result]
            waiting = Waiting(
                selection,
                limits,
                on_start=_all_of([watched.on_start, live.progress.on_start]),
                on_begin=live.progress.on_begin,
                on_result=_all_of(listeners),
                on_end=watched.on_result,
            )
            return waiting.run(patience)

    def _run_on_workers(
        self,
        expectation: Expectation,
        selection: Selection,
        limits: Options,
        delivery: Delivery,
        patience: float,
    ) -> Report:
        with delivery.live(Progress(limits.deadline, of_nodes=True)) as live:
            listener = workers.Listener(
                on_start=lambda: live.progress.on_start([]),
                on_asked=live.progress.on_asked,
                on_answer=Teller(delivery, live, expectation).on_answer,
            )
            return workers.Rounds(selection, limits, expectation, listener).run(patience)

    def _supervised(self, deadline: float) -> AbstractContextManager[supervision.Watched]:
        """Let the deadline hold from outside too, where the process is this command's own."""
        if self._has_process():
            return supervision.supervised(deadline)
        return nullcontext(supervision.Watched())

    @contextmanager
    def _output_kept_for_reports(self) -> Iterator[None]:
        """Let nothing but the report be on standard output: a program reads it."""
        if not self._has_process():
            yield
            return
        with kept_for_reports() as stream:
            self.stdout = OutputWrapper(stream)
            yield

    def _has_process(self) -> bool:
        """Whether the process is this command's own, and its signals are."""
        ours = getattr(self, "_called_from_command_line", False)
        return ours and threading.current_thread() is threading.main_thread()

    def _interruptible(self, *signals: signal.Signals) -> AbstractContextManager[None]:
        return _two_interrupts(signals) if self._has_process() else nullcontext()

    def _list(self, selection: Selection, limits: Options, options: Mapping[str, Any]) -> None:
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
        write(as_format(candidates), self.stdout)
        if not candidates:
            elsewhere = len(runner.select(selection, replace(limits, role="")))
            write(f"{wording.nothing_selected(elsewhere, limits.role)}\n", self.stderr)
            sys.exit(COULD_NOT_TELL)

    def _exit(
        self, report: Report, threads_before: set[threading.Thread], limits: Options, status: int
    ) -> None:
        cut_off = any(result.timed_out or result.cut_off for result in report.results)
        left_over = set(threading.enumerate()) - threads_before
        if getattr(self, "_called_from_command_line", False):
            if cut_off and left_over:
                exit_now(status)
            exit_within(limits.timeout, status)
        if status:
            sys.exit(status)


def _live(limits: Options, delivery: Delivery) -> LiveLine:
    # It is drawn by a thread, and a process that has one must not fork.
    return delivery.live(Progress(limits.deadline), possible=not limits.isolate)


def _add_labels(parser: CommandParser) -> None:
    parser.add_argument(
        "labels",
        nargs="*",
        metavar="LABEL",
        help="App label, or dotted path of a package, module, class or method.",
    )


def _add_limits(parser: CommandParser) -> None:
    parser.add_argument(
        "--parallel",
        type=int,
        metavar="N",
        help="Tests at the same time; 1 is serial. Default: SMOKETEST_PARALLEL.",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="Seconds for a test without its own limit. Default: SMOKETEST_TIMEOUT.",
    )
    parser.add_argument(
        "--deadline",
        type=float,
        metavar="S",
        help="Seconds for the whole run. Default: SMOKETEST_DEADLINE.",
    )
    parser.add_argument(
        "--isolate",
        action="store_true",
        help="Run each test class in a process of its own, which can be killed.",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="Verify at the end, from a second connection, that nothing was committed.",
    )
    parser.add_argument(
        "--wait",
        type=float,
        metavar="S",
        help="Run what failed again, every second, until it passes or S seconds are over.",
    )


def _add_workers(parser: CommandParser) -> None:
    parser.add_argument(
        "--workers",
        action="store_true",
        help="Run the tests on every Celery worker instead, and give one verdict over all.",
    )
    arguments.add_expectation(parser)


def _expectation(options: Mapping[str, Any]) -> Expectation | None:
    """Return what the workers must be, or ``None`` where they are not asked."""
    if options["workers"]:
        if options["isolate"]:
            raise CommandError(
                "--isolate starts processes, and a process of a worker's pool must not start any."
                " Leave it out, or leave out --workers."
            )
        return replace(arguments.expectation(options), nodes=conf.settings.expected_nodes)
    for name in ("expect_release", "expect_nodes", "at_least"):
        if options[name] is not None:
            raise CommandError(
                f"--{name.replace('_', '-')} is about a fleet of nodes, and this run has none."
                " Add --workers, or leave it out."
            )
    return None


def _limits(options: Mapping[str, Any]) -> Options:
    given = arguments.positive(options, ("parallel", "timeout", "deadline", "wait"))
    given.pop("wait", None)  # is about several runs, not about one
    flags = {name: options[name] for name in ("failfast", "isolate", "verify")}
    role = {"role": WORKER} if options["workers"] else {}
    return conf.options(**flags, **given, **role)


def _targets(options: Mapping[str, Any]) -> list[Output]:
    return arguments.targets(options, conf.renderers())


def _usage_status(options: Mapping[str, Any]) -> int:
    """Return the status of wrong usage; where a format has statuses of its own, "unknown"."""
    try:
        return usage_status(_targets(options))
    except (SmokeTestError, ImproperlyConfigured):
        return WRONG_USAGE


def _location(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield those options without which the tests would not be found, or run elsewhere."""
    for name in ("settings", "pythonpath"):
        if options.get(name):
            yield f"--{name}={shlex.quote(options[name])}"
    if options["workers"]:
        yield "--workers"


def _all_of(callbacks: Sequence[Callable[[T], None]]) -> Callable[[T], None]:
    def call(value: T) -> None:
        for callback in callbacks:
            callback(value)

    return call


@contextmanager
def _two_interrupts(signals: Sequence[signal.Signals]) -> Iterator[None]:
    """Let the first Ctrl-C end the run with a report, and the second one the process."""
    before = {number: signal.getsignal(number) for number in signals}

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    for number in signals:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Turn what is wrong with the arguments or the settings into a ``CommandError``."""
    try:
        yield
    except (
        CannotIsolate,
        CannotWrite,
        ImproperlyConfigured,
        InvalidArgument,
        InvalidOutput,
        InvalidSelection,
        UnknownFormat,
    ) as error:
        raise CommandError(str(error)) from error
