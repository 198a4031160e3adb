"""The shape of a probe: a test for each check and subject, found by every runner."""

from __future__ import annotations

import ast
import unittest
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from smoketest import discovery, probes, tag
from smoketest.options import Options
from smoketest.probes.subjects import reason
from tests.conftest import MakeApp
from tests.probes.running import outcomes

FOLDER = Path(probes.__file__).parent
LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}


class Numbers(probes.Probe):
    """A probe that has two checks."""

    numbers: Iterable[Any] = (1, "/a/b.c", "a b c", ("three", 4))

    @classmethod
    def subjects(cls) -> Iterable[Any]:
        return cls.numbers

    @tag("slow")
    def check_size(self, number: Any) -> None:
        """It has a size."""

    def check_value(self, number: Any) -> None:
        """It has a value."""


def names(cls: type[probes.Probe]) -> list[str]:
    return list(unittest.TestLoader().getTestCaseNames(cls))


def test_each_pair_of_check_and_subject_is_a_test() -> None:
    slugs = ("1", "a_b_c", "a_b_c_2", "three")
    assert names(Numbers) == [f"test_{kind}_{s}" for kind in ("size", "value") for s in slugs]


def test_test_has_description_tags_and_line_of_its_check() -> None:
    names(Numbers)
    spec = Numbers("test_size_three").spec()
    assert spec.description == "three: It has a size."
    assert spec.tags == ("slow",)
    assert spec.file == "tests/probes/test_subjects.py"


@pytest.mark.parametrize("limit", [1.0, 5.0, None])
def test_an_answer_is_awaited_for_less_than_the_test_may_take(limit: float | None) -> None:
    class Limited(Numbers):
        timeout = limit

    names(Limited)
    assert 0 < Limited("test_size_1").patience < (limit or Options().timeout)


def test_plain_unittest_runs_them() -> None:
    class One(Numbers):
        def check_value(self, number: Any) -> None:
            if number == 1:
                self.fail("one")

    result = unittest.TestResult()
    unittest.TestLoader().loadTestsFromTestCase(One).run(result)
    assert result.testsRun == 8
    assert [test.id().rpartition(".")[2] for test, _ in result.failures] == ["test_value_1"]


def test_subclass_has_its_own_subjects_only() -> None:
    class Fewer(Numbers):
        numbers = (7,)

    assert names(Numbers)
    assert names(Fewer) == ["test_size_7", "test_value_7"]


def test_check_that_is_none_is_left_out() -> None:
    class Sizes(Numbers):
        check_value = None  # type: ignore[assignment]

    assert {name.split("_")[1] for name in names(Sizes)} == {"size"}


def test_abstract_probe_has_no_tests() -> None:
    assert names(probes.Probe) == []


def test_changed_setting_is_seen_by_the_next_run() -> None:
    before = set(outcomes("Caches"))
    with override_settings(CACHES={"default": LOCMEM, "second": LOCMEM}):
        during = set(outcomes("Caches"))
    assert during - before == {"test_cache_second"}
    assert set(outcomes("Caches")) == before


def test_nothing_to_verify_is_no_pass() -> None:
    [(name, outcome)] = outcomes("Caches", aliases=[]).items()
    assert name == "test_subjects"
    assert outcome.startswith("errored: ValueError: Caches has nothing to verify")


def error_of(cls: type[probes.Probe]) -> str:
    result = unittest.TestResult()
    unittest.TestLoader().loadTestsFromTestCase(cls).run(result)
    [(_, text)] = result.errors
    return text.rstrip()


def test_misspelt_attribute_of_a_probe_without_subjects_is_named() -> None:
    class Ours(probes.Ports):
        port = ["localhost:1"]

    error = error_of(Ours)
    assert "Ours has nothing to verify" in error
    assert "It has 'port', which the probe does not know. Did you mean 'ports'?" in error


def test_attribute_that_a_probe_cannot_do_without_is_asked_for() -> None:
    class Ours(probes.Mount):
        pth = "/srv/media"

    error = error_of(Ours)
    assert "Ours has no 'path', and the probe cannot do without it" in error
    assert error.endswith("Did you mean 'path'?")


def test_unknown_alias_is_an_error_with_a_near_match() -> None:
    [outcome] = outcomes("Caches", aliases=["defualt"]).values()
    assert "settings.CACHES has no such alias" in outcome
    assert outcome.endswith("Did you mean 'default'?")


def test_string_for_a_list_is_an_error_that_shows_the_brackets() -> None:
    [outcome] = outcomes("Caches", aliases="default").values()
    assert outcome.endswith("Write aliases = ['default'].")


def test_probe_works_without_a_smoke_module_and_by_its_public_address() -> None:
    ids = [one.id for one in discovery.discover(probes=["smoketest.probes.Caches"])]
    assert ids == ["smoketest.probes.Caches.test_cache_default"]


def test_subclass_in_a_smoke_module_is_found_and_the_imported_base_is_not(
    make_app: MakeApp,
) -> None:
    make_app(
        "shop",
        {
            "smoke.py": """
            from smoketest.probes import Caches, Probe

            class Sessions(Caches):
                abstract = False
                aliases = ["default"]
            """
        },
    )
    ids = {one.id for one in discovery.discover()}
    assert "shop.smoke.Sessions.test_cache_default" in ids
    assert not [id for id in ids if ".Probe." in id]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("no amqp://bob:s3@cr:t@mq:5672/x?k=v left", "no amqp://mq:5672/x left"),
        ("the key is hunter2!", "the key is …!"),
        ("two\nlines.", "two lines"),
    ],
)
def test_reason_is_one_line_without_secrets(said: str, told: str) -> None:
    assert reason(OSError(said), ["hunter2", None, ""]) == f"OSError: {told}"


def test_failure_shows_no_secret_in_its_traceback_either() -> None:
    class Leaky(Numbers):
        numbers = (1,)

        def check_value(self, number: Any) -> None:
            with self.explained("It leaks", "Mend it.", OSError, ["hunter2"]):
                raise OSError(f"{'hunter'}2 is the key")

    result = unittest.TestResult()
    unittest.TestLoader().loadTestsFromTestCase(Leaky).run(result)
    [(_, told)] = result.failures
    assert "It leaks: OSError: … is the key. Mend it." in told
    assert "hunter2 is the key" not in told


def test_error_of_another_kind_is_not_explained() -> None:
    class Wrong(Numbers):
        numbers = (1,)

        def check_value(self, number: Any) -> None:
            with self.explained("It leaks", "Mend it.", OSError):
                raise LookupError("lost")

    result = unittest.TestResult()
    unittest.TestLoader().loadTestsFromTestCase(Wrong).run(result)
    assert [told.splitlines()[-1] for _, told in result.errors] == ["LookupError: lost"]


def test_reason_without_words_is_the_type() -> None:
    assert reason(TimeoutError()) == "TimeoutError"


def test_every_probe_promises_and_limits_itself() -> None:
    for name in probes.__all__:
        cls = getattr(probes, name)
        assert cls.__doc__, name
        assert 0 < cls.timeout < Options().timeout, name


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_every_attribute_says_what_it_means(path: Path) -> None:
    """The reference is made from these docstrings."""
    for cls in ast.parse(path.read_text()).body:
        if isinstance(cls, ast.ClassDef) and cls.name in probes.__all__:
            for statement, following in pairwise([*cls.body, ast.Pass()]):
                if isinstance(statement, ast.AnnAssign) and cls.name != "Probe":
                    meaning = ast.get_docstring(ast.Module([following], []))
                    assert meaning, ast.unparse(statement)
