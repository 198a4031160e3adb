"""Where Python removes assert statements, no test that verifies by them passes."""

from __future__ import annotations

import json
import py_compile
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from smoketest.asserts import in_source, in_words
from smoketest.checks.messages import ASSERTS_REMOVED
from tests.projects import Project

SMOKE = """
    from smoketest import SmokeTest, optional


    class PlainTest(SmokeTest):
        def test_plain(self):
            assert 1 == 2

        async def test_awaited(self):
            if True:
                assert 1 == 2

        @optional
        def test_optional(self):
            assert 1 == 2

        def test_good(self):
            self.assertEqual(1, 1)

        def test_bad(self):
            self.assertEqual(1, 2)


    class InheritedTest(PlainTest):
        test_awaited = test_optional = test_good = test_bad = None


    class AliasTest(SmokeTest):
        test_borrowed = PlainTest.test_plain
"""
HELPERS = """
    from smoketest import SmokeTest


    def holds():
        assert 1 == 2


    class FunctionTest(SmokeTest):
        def test_it(self):
            holds()
"""
SET_UP = """
    from smoketest import SmokeTest


    class SetUpTest(SmokeTest):
        def setUp(self):
            assert 1 == 2

        def test_it(self):
            pass
"""
WITHOUT = """
    from smoketest import SmokeTest


    class GoodTest(SmokeTest):
        def test_it(self):
            '''It holds.'''
            self.assertTrue(1)
"""


@pytest.fixture
def optimized(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes that the test starts be optimized."""
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")


def outcomes(project: Project) -> dict[str, Any]:
    """Return the results of a run of ``project`` by the end of their ids, and its exit status."""
    done = project.command("--format", "json")
    report = json.loads(done.stdout)
    results = {one["id"].removeprefix("shop.smoke."): one for one in report["results"]}
    return {"exit status": done.returncode, **results}


@pytest.mark.usefixtures("optimized")
def test_with_O_each_test_that_has_an_assert_errors_and_says_why(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.smoke(SMOKE)
    found = outcomes(project)
    assert found.pop("exit status") == 1
    assert {id: one["outcome"] for id, one in found.items()} == {
        "PlainTest.test_awaited": "errored",
        "PlainTest.test_bad": "failed",
        "PlainTest.test_good": "passed",
        "PlainTest.test_optional": "errored",
        "PlainTest.test_plain": "errored",
        "InheritedTest.test_plain": "errored",
        "AliasTest.test_borrowed": "errored",
    }
    assert found["PlainTest.test_optional"]["optional"]
    message = found["PlainTest.test_plain"]["message"]
    assert "(shop/smoke.py, line 7)" in message
    assert "started with -O" in message
    assert "write self.assertTrue" in message


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("smoke", [HELPERS, SET_UP], ids=["function", "setUp"])
def test_with_O_an_assert_that_any_test_may_come_by_counts_for_each(
    tmp_path: Path, smoke: str
) -> None:
    project = Project(tmp_path)
    project.smoke(smoke)
    assert project.command().returncode == 1


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_with_O_asserts_in_another_module_of_the_smoke_package_count(tmp_path: Path) -> None:
    project = Project(tmp_path)
    package = tmp_path / "shop" / "smoke"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_helpers.py").write_text("def holds():\n    assert 1 == 2\n")
    (package / "one.py").write_text(
        dedent(HELPERS).replace("def holds():\n    assert 1 == 2", "from ._helpers import holds")
    )
    found = outcomes(project)
    assert found["exit status"] == 1
    assert "shop/smoke/_helpers.py, line 2" in found["one.FunctionTest.test_it"]["message"]


@pytest.mark.slow
@pytest.mark.parametrize("optimize", ["1", "2"])
def test_with_O_a_test_without_asserts_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimize: str
) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", optimize)
    project = Project(tmp_path)
    project.smoke(WITHOUT)
    found = outcomes(project)
    assert found["exit status"] == 0
    assert found["GoodTest.test_it"]["description"] == ("It holds." if optimize == "1" else "")


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_with_O_and_without_the_source_nothing_can_be_known(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.smoke(WITHOUT)
    source = tmp_path / "shop" / "smoke.py"
    py_compile.compile(str(source), cfile=str(source.with_suffix(".pyc")), doraise=True)
    source.unlink()
    found = outcomes(project)
    assert found["exit status"] == 1
    assert "cannot be known" in found["GoodTest.test_it"]["message"]


def test_without_O_a_test_with_asserts_fails_by_them(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.smoke(SMOKE)
    found = outcomes(project)
    assert found["PlainTest.test_plain"]["outcome"] == "failed"


def checked(project: Project) -> str:
    """Return what ``manage.py check`` says."""
    with project.start("django", "check") as process:
        return "".join(process.communicate(timeout=120))


@pytest.mark.slow
def test_with_O_a_check_names_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path)
    project.smoke(HELPERS)
    assert ASSERTS_REMOVED.id not in checked(project)
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    said = checked(project)
    assert ASSERTS_REMOVED.id in said
    assert "shop/smoke.py, line 6" in said
    project.smoke(WITHOUT)
    assert ASSERTS_REMOVED.id not in checked(project)


@pytest.mark.slow
def test_with_O_a_check_names_a_module_without_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    project = Project(tmp_path)
    project.smoke(WITHOUT)
    source = tmp_path / "shop" / "smoke.py"
    py_compile.compile(str(source), cfile=str(source.with_suffix(".pyc")), doraise=True)
    source.unlink()
    assert "no source that can be read" in checked(project)


def test_an_assert_belongs_to_the_test_that_it_is_inside_of() -> None:
    source = """
    class A:
        assert 1
        def test_a(self):
            def inner():
                assert 2
        def helper(self):
            assert 3
        if True:
            def test_c(self):
                assert 4
    def test_b():
        assert 5
    """
    found = [(one.line, one.test) for one in in_source(dedent(source))]
    assert found == [(3, ""), (6, "A.test_a"), (8, ""), (11, ""), (13, "")]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([3], "line 3"),
        ([3, 5], "lines 3, 5"),
        ([1, 2, 3, 4, 5, 6, 7], "lines 1, 2, 3, 4, 5 and 2 more"),
    ],
)
def test_lines_are_named_up_to_five(lines: list[int], words: str) -> None:
    assert in_words(lines) == words
