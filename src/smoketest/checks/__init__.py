"""The system checks: one for each setting, and one for each hazard that can be known.

No check connects to a database, except that of tables, which runs where Django is told
to look into them (``--database``). ``messages`` has all of them, for the reference; each
of the other files looks for what they tell of.
"""

from __future__ import annotations

from django.core import checks

from .databases import check_databases, check_tables
from .messages import CHECKS, Check
from .modules import check_asserts, check_shadows
from .settings import check_settings, check_together

__all__ = ["CHECKS", "Check", "register"]


def register() -> None:
    """Have ``manage.py check`` run the checks."""
    checks.register(check_settings)
    checks.register(check_together)
    checks.register(check_asserts)
    checks.register(check_shadows)
    checks.register(check_databases)
    checks.register(check_tables, checks.Tags.database)
