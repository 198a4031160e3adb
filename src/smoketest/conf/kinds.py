"""What the value of a setting may be, in words and as a function that looks at it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from smoketest.options import ROLES, Probe
from smoketest.spelling import nearest

T = TypeVar("T")

ANONYMOUS_CHOICES = ("details", "summary", "verdict", "deny")
"""What a caller without credentials may get, from everything to nothing."""

FAILURE_STATUSES = range(400, 600)


class Unusable(Exception):
    """Why a value will not do, as half a sentence; it may be empty."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What the value of a setting may be."""

    name: str
    """In words that complete "it must be …"."""
    clean: Callable[[Any], T]
    """Return the value as the engine takes it, or raise :class:`Unusable` with the reason."""


def _listed(value: object) -> tuple[Any, ...]:
    if isinstance(value, str | bytes):
        raise Unusable("one string alone would be taken for a list of its letters")
    if not isinstance(value, list | tuple | set | frozenset):
        raise Unusable(f"this is of type {type(value).__name__}")
    return tuple(value)


def _strings(value: object) -> tuple[str, ...]:
    items = _listed(value)
    for item in items:
        if not isinstance(item, str):
            raise Unusable(f"one of its items is of type {type(item).__name__}")
        if not item.strip():
            raise Unusable("one of its items is an empty string")
    return items


def _probe(item: object) -> Probe:
    match item:
        case str() if item.strip():
            return item
        case (str() as path, Mapping() as attributes) if path.strip():
            if all(isinstance(name, str) for name in attributes):
                return path, dict(attributes)
    raise Unusable(f"one of its items, of type {type(item).__name__}, is neither")


def _probes(value: object) -> tuple[Probe, ...]:
    return tuple(_probe(item) for item in _listed(value))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unusable(f"this is of type {type(value).__name__}")
    # More than TIMEOUT_MAX (some 292 years), and no lock can be waited for so long.
    if not math.isfinite(value) or value > threading.TIMEOUT_MAX:
        raise Unusable("this is no length of time that can be waited")
    return float(value)


def _seconds(value: object) -> float:
    number = _number(value)
    if number <= 0:
        raise Unusable("nothing can be done in no time")
    return number


def _seconds_or_zero(value: object) -> float:
    number = _number(value)
    if number < 0:
        raise Unusable("this is less than nothing")
    return number


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unusable(f"this is of type {type(value).__name__}")
    return value


def _count(value: object) -> int:
    number = _whole(value)
    if number < 1:
        raise Unusable("with fewer than 1 no test could run")
    return number


def _count_or_zero(value: object) -> int:
    number = _whole(value)
    if number < 0:
        raise Unusable("this is less than nothing")
    return number


def _failure_status(value: object) -> int:
    number = _whole(value)
    if number not in FAILURE_STATUSES:
        raise Unusable("whoever asks has to see the failure by the status")
    return number


def _choice(value: object, choices: Sequence[str]) -> str:
    if isinstance(value, str) and value in choices:
        return value
    meant = nearest(str(value).lower(), choices)
    raise Unusable(f"did you mean {meant!r}?" if meant else "")


def _anonymous(value: object) -> str:
    return _choice(value, ANONYMOUS_CHOICES)


def _role_or_none(value: object) -> str | None:
    return None if value is None else _choice(value, ROLES)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Unusable(f"this is of type {type(value).__name__}")
    if not value.strip():
        raise Unusable("this is empty")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _permission(value: object) -> str | None:
    text = _text_or_none(value)
    if text is not None and not all(text.partition(".")):
        raise Unusable("app label and codename are joined by a dot")
    return text


def _host(value: object) -> str | None:
    text = _text_or_none(value)
    if text is not None and any(character in "/@ \t\r\n" for character in text):
        raise Unusable("scheme, path and user do not belong to it")
    return text


STRINGS = Kind("a list of strings that are not empty", _strings)
PROBES = Kind("a list of dotted paths, or of pairs (path, {attribute: value})", _probes)
SECONDS = Kind("a number of seconds above 0", _seconds)
SECONDS_OR_ZERO = Kind("a number of seconds, 0 or more", _seconds_or_zero)
COUNT = Kind("a whole number, 1 or more", _count)
COUNT_OR_ZERO = Kind("a whole number, 0 or more", _count_or_zero)
TEXT = Kind("a string that is not empty", _text)
FAILURE_STATUS = Kind("an HTTP status between 400 and 599", _failure_status)
ROLE = Kind("None or one of " + ", ".join(map(repr, ROLES)), _role_or_none)
ANONYMOUS = Kind("one of " + ", ".join(map(repr, ANONYMOUS_CHOICES)), _anonymous)
TEXT_OR_NONE = Kind("None or a string that is not empty", _text_or_none)
PERMISSION = Kind("None or a permission as 'app_label.codename'", _permission)
HOST = Kind("None or a host name, with its port where it needs one", _host)
