"""The one registry of formats, and the choice among them by name or by ``Accept``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import NamedTuple, Protocol

from smoketest.exceptions import UnavailableFormat, UnknownFormat
from smoketest.renderers.github import GitHubRenderer
from smoketest.renderers.health import HealthRenderer
from smoketest.renderers.html import HTMLRenderer
from smoketest.renderers.json import JSONRenderer
from smoketest.renderers.junit import JUnitRenderer
from smoketest.renderers.nagios import NagiosRenderer
from smoketest.renderers.ndjson import NDJSONRenderer
from smoketest.renderers.prometheus import PrometheusRenderer
from smoketest.renderers.tap import TAPRenderer
from smoketest.renderers.text import TextRenderer
from smoketest.results import Report
from smoketest.spelling import did_you_mean


class Renderer(Protocol):
    """What a format needs. The names are those of Django REST framework.

    A renderer may also have:

    - ``accepts``, a tuple of further media types that negotiate to it
    - ``variants``, a tuple of renderers of the same format in other media types; the
      ``Accept`` header chooses among them
    - ``always_200 = True``, where the reader of the format takes any other HTTP status
      for an outage
    - ``shows_recent = True``, where it shows the runs before this one, ``report.recent``
    - ``content_security_policy``, the header that its page needs
    - ``requires``, the name of a module without which it cannot render, and
      ``install``, what to give to pip to have it
    - ``render_result(result)`` and ``render_end(report)``, which return lines, where the
      format can be streamed as tests end; of a fleet the latter has what is said of it as
      a whole, whose results have no node
    - ``render_refusal(message)``, which says in the format why nothing was run
    - ``exit_status(report)``, where the readers of the command expect statuses of their own
    - ``summary(report)``, Markdown for the page of a GitHub job
    """

    @property
    def format(self) -> str:
        """The name in ``?format=`` and ``--format``."""

    @property
    def media_type(self) -> str:
        """Content type, without the charset."""

    @property
    def charset(self) -> str:
        """Encoding of the response."""

    def render(self, report: Report) -> str:
        """Return ``report`` in this format."""


Extra = Iterable[Renderer | type[Renderer]]
"""A project's own renderers; one with the name of a built-in one replaces it."""

RENDERERS: tuple[Renderer, ...] = (
    TextRenderer(),
    JSONRenderer(),
    HTMLRenderer(),
    HealthRenderer(),
    PrometheusRenderer(),
    JUnitRenderer(),
    TAPRenderer(),
    NagiosRenderer(),
    GitHubRenderer(),
    NDJSONRenderer(),
)
"""The first one is the answer to whoever does not care."""


def formats(extra: Extra = ()) -> list[str]:
    """Return the names of all formats, in the order of the registry."""
    return list(_registry(extra))


def get(name: str, extra: Extra = (), accept: str = "") -> Renderer:
    """Return the renderer of that name, in the variant that the header ``accept`` likes best.

    Raises ``UnknownFormat`` if there is none, and ``UnavailableFormat`` if what it
    needs is not installed.
    """
    registry = _registry(extra)
    if name not in registry:
        raise _unknown(name, list(registry))
    renderer = registry[name]
    if not _is_available(renderer):
        raise _unavailable(renderer)
    return _liked_best(_variants(renderer), accept)


def negotiate(accept: str, extra: Extra = ()) -> Renderer:
    """Return the renderer that the header ``accept`` likes best; never raises.

    The highest quality wins, then the narrower range, then what the header names
    first, then the order of the registry. A header that nothing matches, that makes no
    sense or that is longer than any client sends, gets text.
    """
    available = filter(_is_available, _registry(extra).values())
    return _liked_best([one for renderer in available for one in _variants(renderer)], accept)


def _liked_best(renderers: list[Renderer], accept: str) -> Renderer:
    ranges = list(_ranges(accept)) if len(accept) <= _LONGEST_HEADER else []
    best, best_rank = renderers[0], _NOT_ACCEPTABLE
    for renderer in renderers:
        rank = max(_rank(media_type, ranges) for media_type in media_types(renderer))
        if rank > best_rank:
            best, best_rank = renderer, rank
    return best


def media_types(renderer: Renderer) -> tuple[str, ...]:
    """Return the media types that negotiate to ``renderer``, its own one first."""
    return (renderer.media_type, *getattr(renderer, "accepts", ()))


def _variants(renderer: Renderer) -> list[Renderer]:
    return [renderer, *getattr(renderer, "variants", ())]


def _registry(extra: Extra) -> dict[str, Renderer]:
    renderers = [*RENDERERS, *(one() if isinstance(one, type) else one for one in extra)]
    return {renderer.format: renderer for renderer in renderers}


def _unknown(name: str, known: list[str]) -> UnknownFormat:
    word = name[:_LONGEST_NAME]
    hint = did_you_mean(word, known)
    return UnknownFormat(
        f"Unknown format {word!r}: no renderer has that name.{hint}"
        f" Known formats: {', '.join(known)}."
    )


def _is_available(renderer: Renderer) -> bool:
    module = getattr(renderer, "requires", "")
    return not module or find_spec(module) is not None


def _unavailable(renderer: Renderer) -> UnavailableFormat:
    module = getattr(renderer, "requires", "")
    what = getattr(renderer, "install", module)
    return UnavailableFormat(
        f"The format {renderer.format!r} cannot be written: it needs the module {module!r},"
        f" which is not installed. Run: python -m pip install '{what}'"
    )


_LONGEST_NAME = 200
_LONGEST_HEADER = 4096
_MOST_RANGES = 64
"""Browsers send about ten; the limits keep a hostile header cheap."""


class _Range(NamedTuple):
    """One entry of an ``Accept`` header."""

    main: str
    sub: str
    quality: float
    plain: bool
    """Whether it has no parameter but its quality."""
    position: int


class _Rank(NamedTuple):
    """How much a header likes a media type; the greater, the more."""

    quality: float
    width: int
    """0 for ``*/*`` up to 3 for the type itself."""
    position: int
    """0 for the header's first entry, negative for later ones."""


_NOT_ACCEPTABLE = _Rank(0.0, 0, -_MOST_RANGES)
_RANGE = re.compile(r"([\w!#$&^.+*-]+)/([\w!#$&^.+*-]+)", re.ASCII)
_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


def _ranges(accept: str) -> Iterator[_Range]:
    for position, entry in enumerate(accept.lower().split(",", _MOST_RANGES)[:_MOST_RANGES]):
        media_range, *parameters = (part.strip() for part in entry.split(";"))
        match = _RANGE.fullmatch(media_range)
        if match:
            others = [part for part in parameters if part and not part.startswith("q=")]
            yield _Range(match[1], match[2], _quality(parameters), not others, -position)


def _quality(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q" and _QUALITY.fullmatch(value.strip()):
            return float(value)
    return 1.0  # also for nonsense, as Django's own MediaType.quality has it


def _rank(media_type: str, ranges: Iterable[_Range]) -> _Rank:
    """Return what the narrowest of the ``ranges`` says of ``media_type``.

    RFC 9110, 12.5.1: a narrower range overrules a wider one, also to exclude.
    """
    main, _, sub = media_type.partition(";")[0].strip().lower().partition("/")
    ranks = [
        (width, one.quality, one.position)
        for one in ranges
        if (width := _width(one, main, sub)) is not None
    ]
    if not ranks:
        return _NOT_ACCEPTABLE
    width, quality, position = max(ranks)
    return _Rank(quality, width, position) if quality else _NOT_ACCEPTABLE


def _width(one: _Range, main: str, sub: str) -> int | None:
    """Return how narrowly ``one`` matches, or ``None``.

    A parameter such as ``charset=utf-8`` makes a match weaker, not impossible.
    """
    if (one.main, one.sub) == (main, sub):
        return 3 if one.plain else 2
    if one.sub != "*":
        return None
    return {main: 1, "*": 0}.get(one.main)
