"""A run that nobody waits for: its report goes to the log, and into the history."""

from __future__ import annotations

from dataclasses import replace

from smoketest import conf, history, runner, sharing
from smoketest.cleansing import cleanse
from smoketest.log import log_report
from smoketest.results import Report
from smoketest.selection import Selection

TASK = "smoketest.periodic"
"""What Celery beat knows it by."""


def run(selection: Selection, role: str) -> Report:
    """Run ``selection`` by the settings, in a process that counts as ``role``.

    Raises ``InvalidSelection`` for a word that is unknown, ``Busy`` where another run was
    under way in this process until the deadline, and ``ImproperlyConfigured``.
    """
    options = conf.options(role=role)

    def within(seconds: float) -> Report:
        report = cleanse(runner.run(selection, replace(options, deadline=seconds)))
        log_report(report)
        history.record(report, selection)
        return report

    return sharing.shared_run((TASK, selection, role), within, deadline=options.deadline)
