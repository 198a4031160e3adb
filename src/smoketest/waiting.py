"""Runs what did not pass again, until it passes or patience is over.

Right after a deploy a service may need some seconds until it answers. Each attempt is
a run of its own, so it has connections of its own and the whole deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic, sleep

from smoketest import runner
from smoketest.exceptions import InvalidSelection
from smoketest.findings import VERIFY
from smoketest.options import Options
from smoketest.results import Report, TestResult
from smoketest.selection import Selection, label_for

INTERVAL = 1.0
"""Seconds from the beginning of one attempt to that of the next, at least."""


@dataclass
class Waiting:
    """A run that may be repeated; the callbacks are those of ``runner.run``."""

    selection: Selection
    options: Options
    on_result: Callable[[TestResult], None] = lambda result: None
    on_start: Callable[[list[str]], None] = lambda ids: None
    on_begin: Callable[[str], None] = lambda id: None
    on_end: Callable[[TestResult], None] = lambda result: None
    _places: dict[str, int] = field(default_factory=dict)
    """The ids selected so far, and where each stands in the report."""
    _ended: set[str] = field(default_factory=set)
    """The ids of what has a result of an earlier attempt."""

    def run(self, patience: float) -> Report:
        """Return one report on all attempts; none begins after ``patience`` seconds.

        A test that ran again has the result of the last time, and is ``retried``. An
        optional test is not waited for. Raises as ``runner.run`` does.
        """
        start = attempt = monotonic()
        report = self._attempt(self.selection)
        while (labels := self._open(report)) and not report.interrupted:
            rest = max(0.0, attempt + INTERVAL - monotonic())
            if monotonic() + rest - start > patience:
                break
            self._ended = {result.id for result in report.results}
            try:
                sleep(rest)
                attempt = monotonic()
                again = self._attempt(replace(self.selection, labels=labels))
            except KeyboardInterrupt:
                return replace(report, interrupted=True)
            except InvalidSelection:  # what could not be loaded can, and has no test
                break
            report = self._merged(report, again, monotonic() - start)
        return report

    def _attempt(self, selection: Selection) -> Report:
        return runner.run(
            selection,
            self.options,
            on_result=lambda result: self.on_result(self._marked(result)),
            on_start=self._on_start,
            on_begin=self.on_begin,
            on_end=self.on_end,
        )

    def _on_start(self, ids: list[str]) -> None:
        known = self._places or {one: place for place, one in enumerate(ids)}
        self._places = known | {one: _place(one, known) for one in ids}
        self.on_start(ids)

    def _marked(self, result: TestResult) -> TestResult:
        """Return ``result``, ``retried`` if it or what it is inside of was tried before."""
        if not self._ended or self._ended.isdisjoint(_addresses(result.id)):
            return result
        return replace(result, retried=True)

    def _open(self, report: Report) -> tuple[str, ...]:
        """Return labels for all that failed, and all that got no result.

        None where something was committed, or may have been: not again what did that.
        """
        if report.passed:
            return ()
        if any(result.id.startswith(VERIFY) and result.fails_run for result in report.results):
            return ()
        failed = [label_for(result.id) for result in report.results if result.fails_run]
        return tuple(dict.fromkeys([*failed, *self._missing(report.results)]))

    def _missing(self, results: Iterable[TestResult]) -> Iterator[str]:
        ended = {address for result in results for address in _addresses(result.id)}
        return (one for one in self._places if one not in ended)

    def _merged(self, before: Report, again: Report, duration: float) -> Report:
        """Return the report in which what ran ``again`` has its new results."""
        new = list(map(self._marked, again.results))
        covered = {address for result in new for address in _addresses(result.id)}
        complete = len(again.results) >= again.selected and not again.interrupted
        kept = [
            result
            for result in before.results
            if result.id not in covered
            and not (result.fails_run and (complete or label_for(result.id) in covered))
        ]
        results = sorted([*kept, *new], key=lambda result: _place(result.id, self._places))
        if complete:  # what is missing even so was a module, and can be imported now
            self._forget_all_but({result.id for result in results})
        return Report.from_results(
            results,
            selected=len(results) + len(list(self._missing(results))),
            started_at=before.started_at,
            duration=duration,
            elsewhere=before.elsewhere,
            release=again.release,
            role=again.role,
            node=again.node,
            pid=again.pid,
            deadline=again.deadline,
            interrupted=again.interrupted,
        )

    def _forget_all_but(self, ids: set[str]) -> None:
        self._places = {one: place for one, place in self._places.items() if one in ids}


def _addresses(id: str) -> Iterator[str]:
    """Yield ``id`` and all that it is inside of."""
    while id:
        yield id
        id = id.rpartition(".")[0]


def _place(id: str, places: Mapping[str, int]) -> int:
    """Return the place of ``id``, or of the last of its nearest neighbours."""
    if id in places:
        return places[id]
    for address in _addresses(id):
        inside = [place for one, place in places.items() if address in _addresses(one)]
        if inside:
            return max(inside)
    return len(places)
