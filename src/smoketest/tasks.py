"""The task by which a worker of Celery takes part in ``manage.py smoketest --workers``.

And the one that Celery beat may ask for, whose report goes to the log and the history.

Celery finds it with ``app.autodiscover_tasks()``. Other task queues look for modules of
this name as well, so it can be imported where Celery is not installed, and has nothing.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from smoketest.workers import TASK

__all__ = ["TASK"]

if find_spec("celery"):
    from celery import shared_task  # type: ignore[import-untyped]

    from smoketest import periodic
    from smoketest.options import WORKER
    from smoketest.workers import answering

    # Acknowledged before it runs, whatever the project's default is: a worker that dies
    # over the tests must not hand them to the next one.
    @shared_task(  # type: ignore[untyped-decorator]
        name=TASK, bind=True, ignore_result=True, acks_late=False, max_retries=0
    )
    def run(self: Any, **question: Any) -> str:
        """Run the smoke tests in this process, and leave the report for whoever asked."""
        return answering.answer(self.app, self.request.id, question)

    @shared_task(  # type: ignore[untyped-decorator]
        name=periodic.TASK, ignore_result=True, acks_late=False, max_retries=0
    )
    def run_periodically(**words: Any) -> str:
        """Run the smoke tests in this process; see ``periodic.selection`` for ``words``."""
        return periodic.run(periodic.selection(**words), WORKER).status
