"""The one door: a selection of tests goes in, a report comes out."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from time import monotonic
from typing import cast

from smoketest import discovery, importing, isolation, processes, scheduling, verification
from smoketest.options import Options
from smoketest.results import Report, TestResult
from smoketest.scheduling import Run, Stopped
from smoketest.selection import Candidate, Selection, in_role
from smoketest.testcases import SmokeTest

__all__ = ["Options", "Stopped", "run", "select"]

EVERYTHING = Selection()
DEFAULTS = Options()


def select(selection: Selection = EVERYTHING, options: Options = DEFAULTS) -> list[Candidate]:
    """Return the tests that ``run`` would run, in discovery order.

    Raises ``InvalidSelection`` where a word of the selection is unknown.
    """
    return in_role(_chosen(selection, options), options.role)


def _chosen(selection: Selection, options: Options) -> list[Candidate]:
    """Return what the selection means, wherever it runs."""
    load = importing.Importer(options.timeout, options.deadline).load
    if isolation.must_run_inline():
        load = import_module  # what it asks a database is to be seen by the caller alone
    candidates = discovery.discover(options.skip_apps, options.probes, load)
    return selection.select(candidates, discovery.app_labels())


def run(
    selection: Selection = EVERYTHING,
    options: Options = DEFAULTS,
    on_result: Callable[[TestResult], None] = lambda result: None,
    on_start: Callable[[list[str]], None] = lambda ids: None,
    on_begin: Callable[[str], None] = lambda id: None,
    *,
    on_end: Callable[[TestResult], None] = lambda result: None,
) -> Report:
    """Run the selected tests and return the report; whatever they write is rolled back.

    ``on_start`` is called with the ids before any test runs, and ``on_result`` as each
    test ends, both on this thread; ``on_begin`` is called with the id of each test on
    the thread that begins it, and ``on_end`` with each result that another thread than
    this one makes, there and at once. ``on_result`` may raise :class:`Stopped`, once, to
    end the run. With ``options.verify`` there is a result for each database, too. Raises
    ``InvalidSelection`` before any test runs; what goes wrong later is in the report.
    """
    started_at, start = datetime.now(UTC), monotonic()
    chosen = _chosen(selection, options)
    selected = in_role(chosen, options.role)
    on_start([candidate.id for candidate in selected])
    tests = [cast(SmokeTest, candidate.test) for candidate in selected]
    execute = processes.execute if options.isolate else scheduling.execute
    deadline = start + options.deadline
    proofs = isolation.Proofs() if options.verify else None
    results, interrupted = execute(
        Run(tests, options, deadline, on_result, on_begin, on_end, proofs)
    )
    verdicts, broken_off = _verdicts(proofs, results, on_result)
    return Report.from_results(
        [*results, *verdicts],
        selected=len(selected) + len(verdicts),
        started_at=started_at,
        duration=monotonic() - start,
        elsewhere=len(chosen) - len(selected),
        release=options.release,
        role=options.role,
        node=socket.gethostname(),
        pid=os.getpid(),
        deadline=options.deadline,
        interrupted=interrupted or broken_off,
    )


def _verdicts(
    proofs: isolation.Proofs | None,
    results: list[TestResult],
    on_result: Callable[[TestResult], None],
) -> tuple[list[TestResult], bool]:
    """Return what became of each database, and whether somebody stopped that."""
    verdicts: list[TestResult] = []
    if proofs is None:
        return verdicts, False
    try:
        for verdict in verification.verify(proofs, results):
            verdicts.append(verdict)
            with suppress(Stopped):  # it is over anyway
                on_result(verdict)
    except KeyboardInterrupt:
        return verdicts, True
    return verdicts, False
