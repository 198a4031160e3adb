"""Takes the secrets of the settings out of what a report says.

What Django's own debug page would cleanse among the settings is cleansed here, by the
same pattern of names, and so is the password of any URL. Whoever makes a report
public applies it once, to the whole report, before the report is kept, logged,
rendered or sent.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.views.debug import SafeExceptionReporterFilter, get_default_exception_reporter_filter

from smoketest.results import Report, TestResult

SHORTEST = 4
"""Characters. What is shorter is in every second line of a traceback by chance."""

SHORTEST_INSIDE = 8
"""The same for what stands in a list or a dictionary with a telling name, where not
everything is a secret: the scopes "read" and "write" of OAUTH2_PROVIDER are not."""

SHORTEST_LINE = 16
"""The same for one line of a key of many."""

LONGEST_REMAINS = 80
"""The most that unittest leaves of a value that it has shortened."""

WHOLE_WORD_BELOW = 12
"""Characters. A shorter secret is only taken out where it stands alone as a word, for
it may be part of an innocent longer one ("postgres" of "postgresql")."""

COMMONPLACE = frozenset(
    {"true", "false", "none", "null", "default", "localhost", "127.0.0.1", "testserver"}
)
"""Values that no attacker learns anything from."""

PUBLIC_SETTINGS = frozenset(
    {
        "AUTHENTICATION_BACKENDS",
        "AUTH_PASSWORD_VALIDATORS",
        "AUTH_USER_MODEL",
        "CACHE_MIDDLEWARE_KEY_PREFIX",
        "DEFAULT_AUTHENTICATION_CLASSES",
        "KEY_FUNCTION",
        "KEY_PREFIX",
        "PASSWORD_HASHERS",
    }
)
"""Settings with names like secrets and values that every traceback may have: names of
models, classes and cache prefixes. Without them "auth.User" would be a secret."""

_URL_PASSWORD = re.compile(r"(?<=://)([^\s/:@'\"]*):[^\s/'\"]+(?=@)")

_CUT = re.compile(r"(\[\d+ chars\]| \[truncated\]\.\.\.)")
"""What unittest writes where it has shortened a value, be it in the middle of a secret."""

Cleanse = Callable[[str], str]


def cleanse(report: Report) -> Report:
    """Return ``report`` with every secret in messages, tracebacks and problems replaced."""
    problems = any(node.problem for node in report.nodes)
    if not problems and not any(map(_talkative, report.results)):
        return report
    cleansed = cleanser()
    return replace(
        report,
        results=tuple(cleanse_result(one, cleansed) for one in report.results),
        nodes=tuple(replace(node, problem=cleansed(node.problem)) for node in report.nodes),
    )


def cleanse_result(result: TestResult, cleansed: Cleanse | None = None) -> TestResult:
    """Return ``result`` with every secret replaced, for where results are sent one by one.

    Without ``cleansed``, a :func:`cleanser` made before, the settings are read anew.
    """
    if not _talkative(result):
        return result
    cleansed = cleansed or cleanser()
    return replace(
        result,
        message=cleansed(result.message),
        traceback=cleansed(result.traceback),
    )


def cleanser() -> Cleanse:
    """Return a function that replaces the present secrets of the settings in a text."""
    return hiding(_secrets(), _filter().cleansed_substitute)


def hiding(
    secrets: set[str], substitute: str = SafeExceptionReporterFilter.cleansed_substitute
) -> Cleanse:
    """Return a function that replaces ``secrets``, and passwords of URLs, in a text.

    It reads no settings.
    """
    forms = {form for secret in secrets for form in _forms(secret)}
    pattern = _pattern(forms)

    def cleansed(text: str) -> str:
        text = _URL_PASSWORD.sub(lambda match: f"{match[1]}:{substitute}", text)
        text = pattern.sub(lambda _: substitute, text) if pattern else text
        return _without_remains(text, forms, substitute) if _CUT.search(text) else text

    return cleansed


def _without_remains(text: str, forms: set[str], substitute: str) -> str:
    """Return ``text`` without what unittest has left of secrets where it shortened them."""
    parts = _CUT.split(text)  # every second one is a mark
    last = len(parts) - 1
    for place in range(0, last + 1, 2):
        part = parts[place]
        if 0 < place < last and any(part in form for form in forms):
            part = substitute if part else ""
        if place < last and (length := _remains(part, forms, at_end=True)):
            part = part[:-length] + substitute
        if place > 0 and (length := _remains(part, forms, at_end=False)):
            part = substitute + part[length:]
        parts[place] = part
    return "".join(parts)


def _remains(part: str, forms: set[str], *, at_end: bool) -> int:
    """Return how many characters at one side of ``part`` are the other side of a secret."""
    for length in range(min(len(part), LONGEST_REMAINS), SHORTEST - 1, -1):
        side = part[-length:] if at_end else part[:length]
        if any(form.startswith(side) if at_end else form.endswith(side) for form in forms):
            return length
    return 0


def _talkative(result: TestResult) -> bool:
    return bool(result.message or result.traceback)


def _filter() -> SafeExceptionReporterFilter:
    """Return the project's own filter where it has one (DEFAULT_EXCEPTION_REPORTER_FILTER)."""
    configured = get_default_exception_reporter_filter()
    if isinstance(configured, SafeExceptionReporterFilter):
        return configured
    return SafeExceptionReporterFilter()


def _pattern(forms: set[str]) -> re.Pattern[str] | None:
    # The longest first: a secret may be the beginning of another.
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile("|".join(map(_expression, ordered))) if ordered else None


def _expression(form: str) -> str:
    expression = re.escape(form)
    return rf"(?<!\w){expression}(?!\w)" if len(form) < WHOLE_WORD_BELOW else expression


def _forms(secret: str) -> Iterator[str]:
    """Yield the ways in which ``secret`` is written in messages, URLs and markup."""
    yield secret
    yield repr(secret)[1:-1]
    yield ascii(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield html.escape(secret)
    yield from _quoted(secret)
    # A key of many lines is shown line by line, and may be indented.
    lines = map(str.strip, secret.splitlines())
    yield from (line for line in lines if len(line) >= SHORTEST_LINE)


def _quoted(secret: str) -> Iterator[str]:
    yield quote(secret, safe="", errors="replace")
    yield quote(secret, errors="replace")
    yield quote_plus(secret, errors="replace")


def _secrets() -> set[str]:
    is_secret = _filter().hidden_settings.search
    return {
        value
        for name, setting in _settings().items()
        for value in _leaves(name, setting, is_secret)
        if value.lower() not in COMMONPLACE
    }


class _Uncleansed(SafeExceptionReporterFilter):
    """Reads settings from inside Django, where the deprecated ones warn nobody."""

    def cleanse_setting(self, key: str | int, value: Any) -> Any:
        return value


def _settings() -> dict[str, Any]:
    try:
        return _Uncleansed().get_safe_settings()
    except ImproperlyConfigured:  # an empty SECRET_KEY raises when it is read
        readable = (name for name in dir(settings) if name.isupper() and name != "SECRET_KEY")
        return {name: getattr(settings, name) for name in readable}


def _leaves(
    name: object, value: object, is_secret: Callable[[str], object], shortest: int = 0
) -> Iterator[str]:
    """Yield each text that ``value`` has under a name that ``is_secret``, at any depth.

    ``shortest`` is the least length of a text that counts by a name further up; 0 says
    that no name there was telling.
    """
    if name in PUBLIC_SETTINGS:
        return
    if isinstance(name, str) and is_secret(name):
        shortest = SHORTEST
    inside = SHORTEST_INSIDE if shortest else 0
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(key, item, is_secret, inside)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _leaves("", item, is_secret, inside)
    elif shortest and isinstance(value, str | bytes) and len(value) >= shortest:
        yield from (text for text in _texts(value) if not _is_told_by(name, text))


def _texts(value: str | bytes) -> Iterator[str]:
    """Yield ``value`` as text: bytes decoded, and as they stand in a message."""
    if isinstance(value, str):
        yield value
    else:
        yield value.decode(errors="backslashreplace")
        yield repr(value)[2:-1]


def _is_told_by(name: object, value: str) -> bool:
    """Whether ``value`` is a word of ``name``: AXES_PASSWORD_FORM_FIELD = "password".

    Such a setting names a field or a header, and that word is in every second message.
    PASSWORD = "password" is no such setting.
    """
    told = str(name).lower().replace("-", "_")
    word = value.lower().replace("-", "_")
    return told != word and f"_{word}_" in f"_{told}_"
