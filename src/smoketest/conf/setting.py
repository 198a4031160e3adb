"""One setting: read when it is used, and a complaint where its value is unusable.

So ``override_settings`` works, and ``ImproperlyConfigured`` is raised where the value
counts and nowhere else.
"""

from __future__ import annotations

from typing import Generic, TypeVar, overload

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from .kinds import Kind, Unusable

T = TypeVar("T")


class Setting(Generic[T]):
    """One setting, read and validated each time that it is looked at."""

    name: str

    def __init__(
        self,
        default: object,
        kind: Kind[T],
        *,
        example: str,
        description: str,
        secret: bool = False,
    ) -> None:
        self.default = default
        self.kind = kind
        self.example = example
        """A good value, as it is written in a settings file."""
        self.description = description
        self.secret = secret
        """Whether a message may not repeat the value."""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.name = f"SMOKETEST_{attribute.upper()}"

    @overload
    def __get__(self, instance: None, owner: type) -> Setting[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Setting[T] | T:
        return self if instance is None else self.read()

    def __set__(self, instance: object, value: object) -> None:
        raise AttributeError(
            f"{self.name} cannot be set here: this object only reads Django's settings. "
            "Set it in the settings file, or in a test with override_settings()."
        )

    def read(self) -> T:
        """Return the present value; raise ``ImproperlyConfigured`` where it is unusable."""
        value = getattr(django_settings, self.name, self.default)
        try:
            return self.kind.clean(value)
        except Unusable as error:
            raise ImproperlyConfigured(self.complaint(value, error)) from None

    def complaint(self, value: object, reason: Unusable) -> str:
        """Say what ``value`` is, why it will not do, and what to write instead."""
        shown = f"of type {type(value).__name__} (not shown)" if self.secret else repr(value)
        because = f": {reason}" if str(reason) else ""
        must = f"It must be {self.kind.name}{because}".removesuffix(".")
        return f"{self.name} is {shown}. {must}{'' if must.endswith('?') else '.'} {self.remedy}"

    @property
    def remedy(self) -> str:
        """What to write instead of a value that is unusable."""
        return (
            f"Write, for example, {self.name} = {self.example}, "
            f"or leave it out for the default, {self.default!r}."
        )
