"""The one registry of formats, and the choice among them by name or by ``Accept``."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Protocol

from smoketest import negotiation
from smoketest.exceptions import UnavailableFormat, UnknownFormat
from smoketest.negotiation import NOT_ACCEPTABLE
from smoketest.results import Report
from smoketest.spelling import did_you_mean

from .github import GitHubRenderer
from .health import HealthRenderer
from .html import HTMLRenderer
from .json import JSONRenderer
from .junit import JUnitRenderer
from .nagios import NagiosRenderer
from .ndjson import NDJSONRenderer
from .prometheus import PrometheusRenderer
from .tap import TAPRenderer
from .text import TextRenderer


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


_LONGEST_NAME = 200
"""Characters of an unknown name that a message repeats."""

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
    ranges = negotiation.parse(accept)
    best, best_rank = renderers[0], NOT_ACCEPTABLE
    for renderer in renderers:
        ranks = (negotiation.rank(media_type, ranges) for media_type in media_types(renderer))
        if (rank := max(ranks)) > best_rank:
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
