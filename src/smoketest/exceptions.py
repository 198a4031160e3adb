"""Everything that smoketest raises on purpose."""

from __future__ import annotations


class SmokeTestError(Exception):
    """Base of every error of this package."""


class InvalidSelection(SmokeTestError):
    """A label, a tag or a pattern that selects nothing that could exist.

    ``str(error)`` names what was asked for and the nearest known word. A caller
    who may not learn names is shown ``error.public`` instead, which has neither.
    """

    public = "The selection names something that this project does not have."


class UnknownFormat(SmokeTestError):
    """A report was asked for in a format that no renderer has."""


class UnavailableFormat(UnknownFormat):
    """A report was asked for in a format whose library is not installed."""


class CannotLoad(SmokeTestError):
    """A module, a class or a probe that should give tests gives none."""


class AssertsRemoved(SmokeTestError):
    """A test verifies by ``assert`` statements, or may do so, and Python has removed them."""


class Refused(SmokeTestError):
    """A smoke test tried something that could outlive it, and was stopped.

    The message has three beats: what the test did, why that is refused in a
    live process, and what to do instead.
    """


class FixtureFailed(SmokeTestError):
    """A test could not run because its class or module fixture had failed."""


class CannotIsolate(SmokeTestError):
    """Tests were to run in processes of their own, and this process must not start any."""


class CannotAwait(SmokeTestError):
    """An ``async`` test was to run in a process that has no threads for its event loop."""


class NeverAwaited(SmokeTestError):
    """A test made a coroutine and did not await it, so that none of its lines has run."""


class TimedOut(BaseException):
    """Raised inside a test that is past its limit, to end it.

    A ``BaseException``, so that a test's own ``except Exception`` does not
    swallow it. It never reaches a report: the verdict stands before it is raised.
    """
