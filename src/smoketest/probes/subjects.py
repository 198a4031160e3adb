"""One test for each subject: the shape that all ready-made probes have.

A subject is what the probe verifies: the alias of a cache, the path of a page, the
address of a server. Which ones there are is known only when tests are collected, from
attributes or from Django's settings. So a probe says :meth:`Probe.subjects`, writes
``check_…`` methods that take one of them, and has a test for each pair: ``check_cache``
and the subjects ``default`` and ``sessions`` give ``test_cache_default`` and
``test_cache_sessions``.

Not sub-tests: the id of a test is what every report shows, also one without messages;
tests run side by side; and each has a limit of its own, so that a server that hangs
does not hide what is wrong with the next.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal, cast
from unittest import SkipTest

from smoketest import SmokeTest

_LONGEST = 500
"""Characters of a foreign error that a message repeats."""


class _OneTestPerSubject(type):
    """Lists, with the attributes of a probe, the tests that it has at this moment.

    unittest, pytest and Django find tests by ``dir()``. What is listed is made then,
    and so ``SMOKETEST_PROBES``, ``manage.py test`` and pytest see the same tests, and
    a changed setting is seen by the next run.
    """

    def __dir__(cls) -> list[str]:
        written = (name for name in super().__dir__() if not cls._is_made(name))
        return sorted({*written, *cls._make_tests()})

    def _is_made(cls, name: str) -> bool:
        return hasattr(inspect.getattr_static(cls, name, None), "subject")

    def _make_tests(cls) -> Iterable[str]:
        if vars(cls).get("abstract") or cls.__name__.startswith("_"):
            return ()
        tests = _tests(cast(type[Probe], cls))
        for name, test in tests.items():
            # Set, never removed: a run that has begun may still need an earlier one.
            setattr(cls, name, test)
        return tests


class Probe(SmokeTest, metaclass=_OneTestPerSubject):
    """Base of the ready-made probes: it gives each subject a test of its own."""

    abstract = True
    timeout: Annotated[float | None, "seconds"] = 5.0

    _extra: ClassVar[str] = ""
    """The extra of this package that brings the library it needs."""
    _leaves: ClassVar[str] = "nothing"
    """What is left behind of it."""

    @classmethod
    def subjects(cls) -> Iterable[Any]:
        """What there is to verify. Of a tuple, the first item names it.

        An error here, or nothing at all, becomes a test that errors.
        """
        raise NotImplementedError

    @property
    def patience(self) -> float:
        """Seconds to wait for an answer.

        Less than the limit of the test, which could not say what did not answer.
        """
        return 0.8 * (self.timeout or 5.0)

    @classmethod
    def missing(cls, library: str) -> ImportError:
        """Return the error of a ``library`` that is not installed."""
        return ImportError(
            f"The probe needs {library!r}, which is not installed. It comes with an extra of this"
            f' package. Run: pip install "django-smoketest[{cls._extra}]"'
        )

    @contextmanager
    def explained(
        self,
        what: str,
        hint: str,
        errors: type[Exception] | tuple[type[Exception], ...] = Exception,
        secrets: Iterable[str | None] = (),
    ) -> Iterator[None]:
        """Turn ``errors`` into a failure: ``what`` happened, why, and the ``hint``.

        The original error is not chained, because a traceback shows its message too:
        the words of a library may hold an address with its password.
        """
        try:
            yield
        except (self.failureException, SkipTest):
            raise
        except errors as error:
            why = reason(error, secrets)
            raise self.failureException(f"{what}: {why}. {hint}") from None


def reason(error: BaseException, secrets: Iterable[str | None] = ()) -> str:
    """Return the type and the words of ``error`` on one line, without ``secrets``."""
    text = " ".join(str(error).split()).rstrip(".")
    for secret in filter(None, secrets):
        for told in (secret, repr(secret)[1:-1]):  # a library may repeat what it got by repr()
            text = text.replace(told, "…")
    text = without_credentials(text)[:_LONGEST]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def without_credentials(text: str) -> str:
    """Return ``text`` without user, password and query of the URLs in it."""
    text = re.sub(r"(?<=://)[^\s/'\"]*@", "", text)
    return re.sub(r"(://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text)


def chosen(
    wanted: Collection[str] | Literal["__all__"], known: Iterable[str], setting: str
) -> list[str]:
    """Return the ``wanted`` names of those that ``setting`` has.

    Raises ``ValueError`` for an unknown one, with a near match.
    """
    names = list(known)
    if wanted == "__all__":
        return names
    for name in listed(wanted, "aliases"):
        if name not in names:
            raise ValueError(
                f"The probe names {name!r}, and settings.{setting} has no such alias."
                f" It has {', '.join(map(repr, names))}.{did_you_mean(name, names)}"
            )
    return list(wanted)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return for example `` Did you mean 'default'?``, to put behind a sentence; else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def listed(value: Any, attribute: str) -> list[Any]:
    """Return ``value`` as a list; a lone string is a forgotten pair of brackets.

    Raises ``TypeError`` for what is no collection.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Collection):
        raise TypeError(
            f"{attribute} is {value!r}, which is no list. The probe makes a test of each item."
            f" Write {attribute} = [{value!r}]."
        )
    return list(value)


# -- from checks and subjects to tests


def _tests(cls: type[Probe]) -> dict[str, Callable[[Any], Any]]:
    try:
        subjects = _subjects(cls)
    except Exception as error:  # noqa: BLE001 - it is the error of the test that is made of it
        return {"test_subjects": _failing(error)}
    return {
        f"test_{check.removeprefix('check_')}_{slug}": _test(getattr(cls, check), subject)
        for check in _checks(cls)
        for slug, subject in zip(_slugs(subjects), subjects, strict=True)
    }


def _subjects(cls: type[Probe]) -> list[Any]:
    for name in _declared(cls):
        if not hasattr(cls, name):
            raise TypeError(
                f"{cls.__qualname__} has no {name!r}, and the probe cannot do without it."
                f" Write {name} = … in its body.{_misspelt(cls)}"
            )
    subjects = list(cls.subjects())
    if not subjects:
        raise ValueError(
            f"{cls.__qualname__} has nothing to verify: its subjects are empty. A test that"
            " verifies nothing must not pass. Name what it should look at, or remove it."
            f"{_misspelt(cls)}"
        )
    return subjects


def _declared(cls: type) -> list[str]:
    """Return the public attributes that ``cls`` and its bases declare with a type."""
    names = (name for base in cls.__mro__ for name in inspect.get_annotations(base))
    return [name for name in names if not name.startswith("_")]


def _misspelt(cls: type[Probe]) -> str:
    """Return a sentence on an attribute of ``cls`` that its base does not have, or nothing."""
    known = {name for base in cls.__mro__[1:] for name in _declared(base)}
    for name, value in vars(cls).items():
        if name.startswith("_") or name in known or hasattr(value, "__get__"):
            continue
        if meant := did_you_mean(name, known):
            return f" It has {name!r}, which the probe does not know.{meant}"
    return ""


def _checks(cls: type[Probe]) -> list[str]:
    """The names of the ``check_…`` methods; ``check_clock = None`` in a subclass drops one."""
    names = (name for name in type.__dir__(cls) if name.startswith("check_"))
    return sorted(name for name in names if callable(getattr(cls, name)))


def _test(check: Callable[[Any, Any], Any], subject: Any) -> Callable[[Any], Any]:
    # With the check's own @timeout, @tag and the like, its file and its line.
    @functools.wraps(check)
    def test(self: Probe) -> Any:
        return check(self, subject)

    promise = inspect.cleandoc(check.__doc__ or "").partition("\n")[0]
    test.__doc__ = f"{label(subject)}: {promise}"
    test.subject = subject  # type: ignore[attr-defined]
    return test


def _failing(error: Exception) -> Callable[[Any], Any]:
    def test(self: Probe) -> None:
        """There is something to verify."""
        raise error

    test.subject = None  # type: ignore[attr-defined]
    return test


def label(subject: Any) -> str:
    """Return the words for ``subject``: itself, or the first item of a tuple."""
    return without_credentials(str(subject[0] if isinstance(subject, tuple) else subject))


def _slugs(subjects: Sequence[Any]) -> list[str]:
    """Return a part of a Python name for each subject, no two the same."""
    taken: Counter[str] = Counter()
    slugs = []
    for subject in subjects:
        slug = re.sub(r"\W+", "_", label(subject)).strip("_") or "root"
        taken[slug] += 1
        slugs.append(f"{slug}_{taken[slug]}" if taken[slug] > 1 else slug)
    return slugs
