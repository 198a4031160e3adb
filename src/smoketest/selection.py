"""Which tests to run: labels, tags and patterns, in the words of ``manage.py test``."""

from __future__ import annotations

import re
import unittest
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import NamedTuple

from smoketest.exceptions import InvalidSelection
from smoketest.options import ROLES
from smoketest.spelling import nearest

_SHOWN = 20
"""How many known words an error lists at most."""
_LONGEST = 200
"""How many characters of an unknown word are repeated and compared: a near match
costs the square of a word's length, and the word may come from the network."""


class Candidate(NamedTuple):
    """A test that a selection may choose."""

    id: str
    """What ``test.id()`` answers."""
    test: unittest.TestCase
    """A ``SmokeTest``, ready to run once."""
    apps: tuple[str, ...]
    """Labels of the apps whose smoke modules have it; none for a probe of the settings."""
    modules: tuple[str, ...]
    """Smoke modules where it was found."""
    tags: frozenset[str]
    broken: bool = False
    """Whether it stands for something that could not be loaded."""
    runs_on: frozenset[str] = frozenset(ROLES)
    """Roles of the processes where it runs; what could not be loaded runs everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A choice of tests; the empty one is all of them.

    The words within one group are alternatives, and a test must match every
    group that has words. What could not be loaded matches every tag and pattern,
    and every label that lies above or below its address: it could have been meant.
    """

    labels: tuple[str, ...] = ()
    """App labels, and dotted paths of packages, modules, classes or methods."""
    tags: tuple[str, ...] = ()
    exclude_tags: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    """As unittest's ``-k``: part of an id, or a pattern for the whole id with ``*``."""

    def select(
        self, candidates: Sequence[Candidate], app_labels: Collection[str] = ()
    ) -> list[Candidate]:
        """Return the chosen ``candidates``, in their order; possibly none.

        ``app_labels`` are words that are valid labels even without a test, where no other
        label has one either. Raises ``InvalidSelection`` for a label or a tag that nothing has.
        """
        chosen = list(candidates)
        if self.labels:
            chosen = self._labelled(chosen, app_labels)
        if self.tags or self.exclude_tags:
            self._check_tags(candidates)
            chosen = [one for one in chosen if one.broken or self._tagged(one)]
        if self.patterns:
            patterns = [_as_pattern(word) for word in self.patterns]
            chosen = [one for one in chosen if one.broken or _matches(one.id, patterns)]
        return chosen

    def _labelled(
        self, candidates: Sequence[Candidate], app_labels: Collection[str]
    ) -> list[Candidate]:
        wanted = frozenset(self.labels)
        met: set[str] = set()
        chosen = []
        for candidate in candidates:
            hits = wanted.intersection(_words_for(candidate))
            if candidate.broken:
                hits |= {label for label in wanted if _is_inside(label, candidate.id)}
            if hits:
                chosen.append(candidate)
                met |= hits
        for label in self.labels:
            if label not in met and label not in app_labels:
                raise _unknown_label(label, candidates, app_labels)
            if label not in met and chosen:
                raise _idle_label(label, candidates)
        return chosen

    def _check_tags(self, candidates: Sequence[Candidate]) -> None:
        # A module that did not load may be the one that has the tag.
        if any(candidate.broken for candidate in candidates):
            return
        known = {tag for candidate in candidates for tag in candidate.tags}
        for tag in (*self.tags, *self.exclude_tags):
            if tag not in known:
                raise _unknown("tag", tag, "no smoke test has that tag", known, known)

    def _tagged(self, candidate: Candidate) -> bool:
        if not candidate.tags.isdisjoint(self.exclude_tags):
            return False
        return not self.tags or not candidate.tags.isdisjoint(self.tags)


def in_role(candidates: Iterable[Candidate], role: str) -> list[Candidate]:
    """Return those of ``candidates`` that run where a process counts as ``role``.

    An empty ``role`` is that of a process which runs every test.
    """
    return [one for one in candidates if role in one.runs_on] if role else list(candidates)


_FIXTURES = frozenset({"setUpClass", "tearDownClass", "setUpModule", "tearDownModule"})


def label_for(id: str) -> str:
    """Return the label that selects again what has the result ``id``.

    A fixture runs with the tests around it only, so its class or module is the label.
    """
    owner, _, name = id.rpartition(".")
    return owner if name in _FIXTURES else id


def _as_pattern(word: str) -> re.Pattern[str]:
    # The rule of unittest's and of Django's command line. Not by fnmatchcase: it keeps
    # 32768 patterns, which come from the network, and re keeps 512.
    return re.compile(translate(word if "*" in word else f"*{word}*"))


def _matches(test_id: str, patterns: Iterable[re.Pattern[str]]) -> bool:
    return any(pattern.match(test_id) for pattern in patterns)


def _is_inside(label: str, address: str) -> bool:
    return label.startswith(address + ".")


def _words_for(candidate: Candidate) -> Iterator[str]:
    """Yield every label that selects ``candidate``."""
    yield from candidate.apps
    for address in _addresses(candidate):
        parts = address.split(".")
        yield from (".".join(parts[:length]) for length in range(len(parts), 0, -1))


def _addresses(candidate: Candidate) -> Iterator[str]:
    """Yield the id, and the same as seen from each module that imported the class.

    The second of two classes with one address has a number behind its name
    (``Class-2``); the name alone means both.
    """
    yield candidate.id
    if "-" in candidate.id:
        yield re.sub(r"-\d+(?=\.|$)", "", candidate.id)
    home = type(candidate.test).__module__ + "."
    if candidate.id.startswith(home):
        for module in candidate.modules:
            yield f"{module}.{candidate.id.removeprefix(home)}"


def _idle_label(label: str, candidates: Iterable[Candidate]) -> InvalidSelection:
    return InvalidSelection(
        f"Label {label!r} selects no test: that app has none, or is left out. A run of the"
        " others could pass as if the app had been verified, too. Leave the label away, or look"
        f" where its smoke module went. Known labels: {_listed(sorted(_apps(candidates)))}."
    )


def _apps(candidates: Iterable[Candidate]) -> set[str]:
    return {app for candidate in candidates for app in candidate.apps}


def _unknown_label(
    label: str, candidates: Iterable[Candidate], app_labels: Collection[str]
) -> InvalidSelection:
    words = {word for candidate in candidates for word in _words_for(candidate)}
    apps = _apps(candidates)
    why = "no app, module, class or method of that name has smoke tests"
    return _unknown("label", label, why, {*_neighbours(label, words), *app_labels}, apps)


def _neighbours(label: str, words: Collection[str]) -> list[str]:
    """Return the ``words`` worth comparing with ``label``.

    Those on its own level below the same parent, and if there is no such parent
    all but the methods, of which there may be thousands.
    """
    if label.rpartition(".")[0] in words:
        parent = label.rpartition(".")[0]
        return sorted(word for word in words if word.rpartition(".")[0] == parent)
    parents = {word.rpartition(".")[0] for word in words}
    return sorted(word for word in words if "." not in word or word in parents)


def _unknown(
    kind: str, word: str, why: str, candidates: Collection[str], known: Collection[str]
) -> InvalidSelection:
    sentences = [f"Unknown {kind} {word[:_LONGEST]!r}: {why}."]
    meant = _nearest(word[:_LONGEST], sorted(candidates))
    if meant:
        sentences.append(f"Did you mean {meant!r}?")
    if known:
        sentences.append(f"Known {kind}s: {_listed(sorted(known))}.")
    return InvalidSelection(" ".join(sentences))


def _nearest(word: str, known: Sequence[str]) -> str | None:
    dotted = word.removesuffix(".py").strip("/").replace("/", ".")  # a shell completes paths
    if dotted in known:
        return dotted
    # A class may be named without its module, which is far by the letters.
    ending = next((one for one in known if one.endswith(f".{word}")), None)
    return ending or nearest(word, known)


def _listed(words: Sequence[str]) -> str:
    more = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
