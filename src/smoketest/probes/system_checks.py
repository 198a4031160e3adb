"""Django's system checks find nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.core import checks
from django.db import connections

from .subjects import Probe

_SHOWN = 10


class SystemChecks(Probe):
    """``manage.py check --deploy`` with every database finds nothing at or above a level.

    What ``SILENCED_SYSTEM_CHECKS`` names is left out.
    """

    level: str = "WARNING"
    """The lowest that fails: ``"DEBUG"``, ``"INFO"``, ``"WARNING"``, ``"ERROR"`` or
    ``"CRITICAL"``."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """One: all checks together, which is how Django runs them."""
        return ["deploy"]

    def check_system(self, subject: str) -> None:
        """The system checks find nothing."""
        messages = checks.run_checks(include_deployment_checks=True, databases=list(connections))
        lowest = getattr(checks, self.level)
        found = [one for one in messages if one.level >= lowest and not one.is_silenced()]
        if found:
            self.fail(_told(found, self.level))


def _told(found: Sequence[checks.CheckMessage], level: str) -> str:
    """Return in one line which checks found something, and below it what each found."""
    ids = ", ".join(dict.fromkeys(one.id or "a check without an id" for one in found[:_SHOWN]))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    first = (
        f"The system checks found {len(found)} at level {level} or above: {ids}{more}. Each is a"
        " hazard in production. Run `manage.py check --deploy --database default`, and repair or"
        " silence them."
    )
    return "\n".join([first, *(f"{one.id}: {one.msg}" for one in found[:_SHOWN])])
