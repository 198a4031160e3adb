"""The program: reads its options, asks, writes the report, and ends with a status."""

from __future__ import annotations

import asyncio
import gc
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from django.core.management.base import OutputWrapper
from django.core.management.color import color_style

from smoketest import arguments
from smoketest.console import Console, exit_now, or_nowhere, write
from smoketest.delivery import COULD_NOT_TELL, Delivery, usage_status
from smoketest.exceptions import SmokeTestError
from smoketest.outputs import Output
from smoketest.progress import Progress
from smoketest.results import Report
from smoketest.telling import Teller

from . import addresses, credentials, options
from .addresses import Address
from .asking import Question, asker
from .rounds import Rounds

Given = Mapping[str, Any]
"""The options by their names."""

_MOST_NAMED = 5
"""URLs that the line to run again repeats."""


def start() -> NoReturn:
    """Run the program, and end the process with its status."""
    # Reports are many objects that stay. To look for garbage among them each time that 700
    # more are made takes a quarter of the time of asking a thousand nodes.
    gc.set_threshold(50_000)
    sys.stdout, sys.stderr = or_nowhere(sys.stdout), or_nowhere(sys.stderr)
    try:
        status = main()
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("Interrupted before there was a report.\n")
        status = COULD_NOT_TELL
    except Exception:  # noqa: BLE001 - Python's own status would be 1: roll back
        traceback.print_exc()
        status = COULD_NOT_TELL
    # Else Python takes a thousand reports apart, and waits for who still looks up a name.
    exit_now(status)


def main(words: list[str] | None = None) -> int:
    """Ask as the command line ``words`` say, write the report, and return the exit status.

    Options that make no sense raise ``SystemExit``, as ``argparse`` does.
    """
    given = options.parsed(words)
    console = _console(given)
    targets: list[Output] = []
    try:
        targets = arguments.targets(given)
        for target in targets:
            target.check()
        return _gate(given, _delivery(given, targets, console))
    except SmokeTestError as error:
        write(f"{options.PROGRAM}: error: {error}\n", console.err)
        return usage_status(targets)


def _gate(given: Given, delivery: Delivery) -> int:
    asked = _addresses(given)
    question = _question(given)
    expectation, patience = arguments.expectation(given), options.patience(given)
    with delivery.live(Progress(patience.deadline, of_nodes=True)) as live:

        async def ask() -> tuple[Report, str]:
            async with asker(question) as one:
                rounds = Rounds(
                    one,
                    asked,
                    expectation,
                    patience,
                    resolve=given["resolve"],
                    on_start=live.progress.on_start,
                    on_begin=live.progress.on_begin,
                    on_answer=Teller(delivery, live, expectation).on_answer,
                )
                return await rounds.run(), rounds.misunderstood

        report, misunderstood = _completed(ask())
    status = delivery.deliver(report)
    if not misunderstood:
        return status
    write(f"{options.PROGRAM}: error: {misunderstood}\n", delivery.console.err)
    return usage_status(delivery.targets)


def _console(given: Given) -> Console:
    return Console(
        out=OutputWrapper(sys.stdout),
        err=OutputWrapper(sys.stderr),
        colours=color_style(force_color=True),
        no_color=given["no_color"],
        force_color=given["force_color"],
    )


def _delivery(given: Given, targets: Sequence[Output], console: Console) -> Delivery:
    return Delivery(
        console=console,
        targets=targets,
        verbosity=given["verbosity"],
        durations=given["durations"],
        program=_again(given),
        option="--test=",
        cleansed=lambda result: result,  # each answer was, as it came
    )


def _again(given: Given) -> str:
    """Return the command line that asks the same nodes again; what to run is added to it."""
    words = [options.PROGRAM]
    if len(given["urls"]) > _MOST_NAMED:
        words.append("URL")
    else:
        words += [shlex.quote(address.name) for address in addresses.parse(given["urls"])]
    for name in ("nodes_file", "token_env", "token_file", "ca_file"):
        if given[name] is not None:
            words.append(f"--{name.replace('_', '-')}={shlex.quote(given[name])}")
    return " ".join([*words, "--resolve"] if given["resolve"] else words)


def _addresses(given: Given) -> list[Address]:
    listed = [] if given["nodes_file"] is None else addresses.listed(given["nodes_file"])
    return addresses.parse([*given["urls"], *listed], options.parameters(given))


def _question(given: Given) -> Question:
    shown = credentials.read(given["token_env"], given["token_file"])
    return Question(
        headers=shown.headers(),
        ca_file=given["ca_file"],
        concurrency=options.concurrency(given),
        deadline=options.patience(given).deadline,
        cleansed=shown.cleanser(),
        direct=given["resolve"],
    )


def _completed(work: Coroutine[Any, Any, tuple[Report, str]]) -> tuple[Report, str]:
    """Run ``work`` to its end, and wait for no thread that still looks up a name.

    ``asyncio.run`` would: https://docs.python.org/3/library/asyncio-eventloop.html
    #asyncio.loop.shutdown_default_executor
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    try:
        with _interrupts(loop, task):
            return loop.run_until_complete(task)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@contextmanager
def _interrupts(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end the asking with a report, and the second the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int) -> None:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        task.cancel()

    for number in before:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
