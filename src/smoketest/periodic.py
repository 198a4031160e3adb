"""A run that nobody waits for: its report goes to the log, and into the history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from smoketest import conf, history, runner, sharing
from smoketest.cleansing import cleanse
from smoketest.log import log_report
from smoketest.results import Report
from smoketest.selection import Selection

TASK = "smoketest.periodic"
"""What Celery beat knows it by."""


Words = str | Iterable[str]


def selection(
    labels: Words = (), tags: Words = (), exclude_tags: Words = (), patterns: Words = ()
) -> Selection:
    """Return the selection that a schedule names, in values that JSON has."""
    return Selection(
        labels=_listed(labels),
        tags=_listed(tags),
        exclude_tags=_listed(exclude_tags),
        patterns=_listed(patterns),
    )


def _listed(words: Words) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)


def run(selection: Selection, role: str) -> Report:
    """Run ``selection`` by the settings, in a process that counts as ``role``.

    Raises ``InvalidSelection`` for a word that is unknown, ``Busy`` where another run was
    under way in this process until the deadline, and ``ImproperlyConfigured``.
    """
    options = conf.options(role=role)

    def within(seconds: float) -> Report:
        return runner.run(selection, replace(options, deadline=seconds))

    def finish(report: Report) -> Report:
        report = cleanse(report)
        log_report(report)
        history.record(report, selection)
        return report

    key = TASK, selection, role
    return sharing.shared_run(key, within, deadline=options.deadline, finish=finish)
