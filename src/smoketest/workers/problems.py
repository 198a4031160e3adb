"""Why a worker gave no report, in sentences: what happened, why, and what to do.

They do not name the worker, so that one sentence stands for all that it is true of.
"""

from __future__ import annotations

BUSY = (
    "The worker is busy: no answer before the deadline. It answers a ping, so its pool is full of"
    " other tasks, or the process that ran the tests was killed. Ask again with a longer"
    " deadline, give it more processes, or look at its log."
)
GONE = (
    "The worker is gone: it answered a ping at first, and no more. It was stopped, or lost its"
    " broker. Look at its log, and start it."
)
ABSENT = (
    "The worker is gone: it is one of the expected nodes, and did not answer a ping. It is down,"
    " has another name, or uses another broker. Start it, or take it off"
    " SMOKETEST_EXPECTED_NODES."
)
STARTING = (
    "The worker came too late: it is one of the expected nodes, did not answer a ping at first,"
    " and does now. It has just started, or its machine is slow. Ask again."
)
OLDER = (
    "The worker runs an older release that does not know smoketest: it has no task"
    " 'smoketest.run'. It was not deployed to, or not restarted. Restart it with a release that"
    " has 'smoketest' in INSTALLED_APPS and calls app.autodiscover_tasks()."
)
TWINS = (
    "Several workers have this name, so a message cannot be sent to each of them. They were"
    " started with the same -n. Give each a name of its own: -n NAME@%h."
)
UNREADABLE = (
    "The worker answered with something that is no report. It runs another release of smoketest."
    " Deploy to it, and restart it."
)
STOPPED = (
    "The worker had not answered when the run was interrupted. Nothing is known of it. Ask again."
)


def refused(why: str) -> str:
    """Return what to say of a worker that answered that it could not run the tests."""
    return (
        f"The worker ran no tests: {why.rstrip('.')}. It may have other settings than this"
        " process, or another release. Look at its log."
    )


def no_way_back(why: str) -> str:
    """Return what to say of a worker that was asked, and has no way to answer."""
    return f"The worker was asked, and its report was lost. {why}"


def broker_down(broker: str, why: str) -> str:
    """Return what to say where the broker cannot be talked to."""
    return (
        f"Celery's broker at {broker} does not answer: {why.rstrip('.')}. No worker can be"
        " asked without it. Start it, or correct broker_url."
    )


def broker_silent(broker: str, seconds: float) -> str:
    """Return what to say where the broker is there, and says nothing."""
    return (
        f"Celery's broker at {broker}, or what carries the results, did not answer within"
        f" {seconds:g} s. It is overloaded, or its network is cut. Look at it, and ask again."
    )
