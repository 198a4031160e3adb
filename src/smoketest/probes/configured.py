"""Settings and environment variables have their values, which nobody is shown."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.conf import settings

from .subjects import Probe, listed

PLACEHOLDER = re.compile(
    r"\s*(<.*>|\{\{.*\}\}|\$\{?\w+\}?|x{3,}|\.{3}|todo|fixme|change[-_ ]?me.*|replace[-_ ]?me.*"
    r"|your[-_ ].*|placeholder|dummy|example|secret|password|django-insecure-.*)\s*",
    re.IGNORECASE | re.DOTALL,
)
"""What stands for a value that somebody meant to fill in."""


class Settings(Probe):
    """Each setting is there, is not ``None``, and is no placeholder. No value is shown."""

    abstract = True
    names: Collection[str] = ()
    """Names of settings: ``["STRIPE_API_KEY"]``."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The names."""
        return listed(cls.names, "names")

    def check_setting(self, name: str) -> None:
        """The setting has a value."""
        if not hasattr(settings, name):
            self.fail(
                f"The setting {name} is missing. The code that needs it will fail. Add it to the"
                " settings file of this machine."
            )
        value = getattr(settings, name)
        if value is None:
            self.fail(
                f"The setting {name} is None. Its source, such as an environment variable, may be"
                " missing. Give it a value."
            )
        if isinstance(value, str) and PLACEHOLDER.fullmatch(value):
            self.fail(
                f"The setting {name} has the value of a placeholder. It was not filled in when the"
                " site was set up. Give it its value."
            )


class Environment(Probe):
    """Each environment variable is set, is not empty, and matches. No value is shown."""

    abstract = True
    variables: Collection[str] | Mapping[str, str] = ()
    """Names; or names with a regular expression for the whole value:
    ``{"AWS_REGION": r"eu-\\w+-\\d"}``."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The names."""
        return listed(cls.variables, "variables")

    def check_variable(self, name: str) -> None:
        """The variable has a value, of the right form."""
        value = os.environ.get(name)
        if not value:
            state = "missing" if value is None else "empty"
            self.fail(
                f"The environment variable {name} is {state}. The process was started without it."
                " Set it where the process is started, and start it again."
            )
        pattern = self._pattern(name)
        if not re.fullmatch(pattern, value, re.DOTALL):
            self.fail(
                f"The environment variable {name} does not match {pattern!r}. It has the value of"
                " something else. Correct it where the process is started, and start it again."
            )

    def _pattern(self, name: str) -> Any:
        return self.variables[name] if isinstance(self.variables, Mapping) else ".*"
