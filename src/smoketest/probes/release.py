"""The release that runs is the one that was deployed."""

from __future__ import annotations

from collections.abc import Iterable

from .sources import value_from
from .subjects import Probe


class Release(Probe):
    """The release that this process runs is the one that is expected.

    A process keeps its settings from when it was started, and a file is read now: so a
    worker that was not restarted after a deploy is found.
    """

    abstract = True
    expected: str
    """Where the expected one is told: ``"file:/srv/site/RELEASE"``, ``"variable:NAME"`` or
    ``"setting:NAME"``."""
    running: str = "setting:SMOKETEST_RELEASE"
    """Where the running one is told, in the same way."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """Where the expected one is told."""
        return [cls.expected]

    def check_release(self, expected: str) -> None:
        """The running release is the expected one."""
        wanted, running = value_from(expected), value_from(self.running)
        if running != wanted:
            self.fail(
                f"Release {running!r} runs, and {expected} expects {wanted!r}. This process was"
                " started before the deploy, or from another folder. Restart it."
            )
