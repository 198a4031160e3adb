"""What there is to run is found, and what should be there but will not load is seen."""

from __future__ import annotations

import os
import sys
import types
import unittest
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from django.apps import apps
from django.test import override_settings

from smoketest.discovery import app_labels, discover, is_named
from smoketest.options import Probe
from smoketest.selection import Candidate
from tests.conftest import MakeApp

TEST = """
    from smoketest import SmokeTest

    class {name}(SmokeTest):
        def test_it(self): pass
"""


def smoke(name: str = "T") -> str:
    """Return a smoke module with the class ``name`` and its one test ``test_it``."""
    return dedent(TEST.format(name=name))


def ids(found: Iterable[Candidate] | None = None) -> list[str]:
    return [one.id for one in (discover() if found is None else found)]


def outcome(candidate: Candidate) -> unittest.TestResult:
    result = unittest.TestResult()
    candidate.test.run(result)
    return result


def the_error(candidate: Candidate) -> str:
    """Return the traceback of the one error with which ``candidate`` must end."""
    result = outcome(candidate)
    assert result.testsRun == len(result.errors) == 1
    assert not result.failures
    return result.errors[0][1]


def only_broken(candidates: Iterable[Candidate]) -> Candidate:
    (broken,) = [one for one in candidates if one.broken]
    return broken


# -- where tests are found


def test_a_module_path_in_installed_apps_is_looked_at(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": smoke()})
    assert ids() == ["shop.smoke.T.test_it"]


def test_an_appconfig_path_in_installed_apps_is_looked_at(make_app: MakeApp) -> None:
    config = """
        from django.apps import AppConfig

        class BankConfig(AppConfig):
            name = "bank"
            label = "money"
    """
    make_app("bank", {"apps.py": config, "smoke.py": smoke()}, installed_as="bank.apps.BankConfig")
    (candidate,) = discover()
    assert candidate.id == "bank.smoke.T.test_it"
    assert candidate.apps == ("money",)
    assert candidate.modules == ("bank.smoke",)


def test_a_smoke_package_is_searched_recursively_and_by_name(make_app: MakeApp) -> None:
    files = ["smoke/__init__.py", "smoke/b.py", "smoke/a/__init__.py", "smoke/a/z/y.py"]
    make_app("shop", dict.fromkeys([*files, "smoke/c.py"], smoke()))
    assert ids() == [
        "shop.smoke.T.test_it",
        "shop.smoke.a.T.test_it",
        "shop.smoke.a.z.y.T.test_it",
        "shop.smoke.b.T.test_it",
        "shop.smoke.c.T.test_it",
    ]


def test_folders_without_an_init_are_packages_too(make_app: MakeApp) -> None:
    folder = make_app("shop", {})
    for path in ("smoke/orders.py", "smoke/deep/er.py"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(smoke())
    assert ids() == ["shop.smoke.deep.er.T.test_it", "shop.smoke.orders.T.test_it"]


def test_private_modules_and_packages_are_left_out(make_app: MakeApp) -> None:
    private = ["smoke/_a.py", "smoke/_b/c.py", "smoke/d/_e.py", "smoke/d/__main__.py"]
    make_app("shop", dict.fromkeys(private, "raise AssertionError"))
    assert ids() == []


def test_an_app_without_a_smoke_module_gives_nothing(make_app: MakeApp) -> None:
    make_app("shop", {"views.py": "raise AssertionError"})
    assert discover() == []


def test_apps_come_in_the_order_of_installed_apps(make_app: MakeApp) -> None:
    make_app("zoo", {"smoke.py": smoke()})
    make_app("bank", {"smoke.py": smoke()})
    assert ids() == ["zoo.smoke.T.test_it", "bank.smoke.T.test_it"]


def test_classes_come_as_defined_and_methods_as_unittest_sorts_them(make_app: MakeApp) -> None:
    code = """
        from smoketest import SmokeTest

        class B(SmokeTest):
            def test_b(self): pass
            def test_a(self): pass
            async def test_c(self): pass
            def helper(self): pass

        class A(SmokeTest):
            def runTest(self): pass
    """
    make_app("shop", {"smoke.py": code})
    names = ["B.test_a", "B.test_b", "B.test_c", "A.runTest"]
    assert ids() == [f"shop.smoke.{name}" for name in names]


def test_a_module_put_into_sys_modules_by_hand_is_looked_at(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_app("shop")
    module = types.ModuleType("shop.smoke")
    exec(smoke(), vars(module))
    monkeypatch.setitem(sys.modules, "shop.smoke", module)
    assert ids() == ["shop.smoke.T.test_it"]


def test_each_discovery_gives_fresh_instances_one_a_method(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": smoke() + "    def test_more(self): pass\n"})
    tests = [one.test for one in discover() + discover()]
    assert len({id(test) for test in tests}) == 4


def test_the_tags_of_class_and_method_are_those_of_the_candidate(make_app: MakeApp) -> None:
    code = """
        from smoketest import SmokeTest, tag

        @tag("a")
        class T(SmokeTest):
            @tag("b")
            def test_it(self): pass
    """
    make_app("shop", {"smoke.py": code})
    (candidate,) = discover()
    assert candidate.tags == {"a", "b"}


# -- which classes are run


def test_a_class_runs_once_under_its_own_id_however_many_modules_import_it(
    make_app: MakeApp,
) -> None:
    files = {
        "smoke/__init__.py": "from shop.cases import T",
        "smoke/a.py": "from shop.cases import T\nfrom shop.smoke import T as Again\nAlias = T",
        "cases.py": smoke(),
    }
    make_app("shop", files)
    make_app("bank", {"smoke.py": "from shop.cases import T"})
    (candidate,) = discover()
    assert candidate.id == "shop.cases.T.test_it"
    assert candidate.apps == ("shop", "bank")
    assert candidate.modules == ("shop.smoke", "shop.smoke.a", "bank.smoke")


def test_an_inherited_method_runs_once_for_each_class(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": smoke("A") + "class B(A): pass\n"})
    assert ids() == ["shop.smoke.A.test_it", "shop.smoke.B.test_it"]


def test_abstract_bases_are_not_run_but_their_subclasses_are(make_app: MakeApp) -> None:
    code = (
        smoke("_Private")
        + smoke("Declared")
        + "    abstract = True\n"
        + "class A(_Private): pass\nclass B(Declared): pass\n"
    )
    make_app("shop", {"smoke.py": code})
    assert ids() == ["shop.smoke.A.test_it", "shop.smoke.B.test_it"]


def test_a_class_that_is_called_smoketest_is_run(make_app: MakeApp) -> None:
    code = """
        import smoketest

        class SmokeTest(smoketest.SmokeTest):
            def test_it(self): pass
    """
    make_app("shop", {"smoke.py": code})
    assert ids() == ["shop.smoke.SmokeTest.test_it"]


def test_imported_base_classes_and_classes_without_tests_give_nothing(make_app: MakeApp) -> None:
    code = """
        from unittest import FunctionTestCase, IsolatedAsyncioTestCase, TestCase
        from django.test import TestCase as DjangoTestCase, TransactionTestCase
        from django.utils.functional import SimpleLazyObject
        from smoketest import SmokeTest

        class Mixin(TestCase): pass
        class Base(SmokeTest): pass
        anything = SimpleLazyObject(lambda: 1 / 0)
        generic = list[int]
    """
    make_app("shop", {"smoke.py": code})
    assert discover() == []


def test_two_classes_of_one_address_both_run_and_are_told_apart(make_app: MakeApp) -> None:
    code = """
        from smoketest import SmokeTest

        def made(number):
            class T(SmokeTest):
                value = number
                def test_it(self): raise RuntimeError(self.value)
            return T

        A, B = made(1), made(2)
    """
    make_app("shop", {"smoke.py": code})
    first, second = discover()
    assert first.id == "shop.smoke.made.<locals>.T.test_it"
    assert second.id == second.test.id() == "shop.smoke.made.<locals>.T-2.test_it"
    assert "RuntimeError: 1" in the_error(first)
    assert "RuntimeError: 2" in the_error(second)


# -- what cannot be loaded

BROKEN = {
    "ImportError": ("import no_such_module", "No module named 'no_such_module'"),
    "own ImportError": ("raise ImportError('no smoke here')", "no smoke here"),
    "SyntaxError": ("\ndef:", "SyntaxError"),
    "SystemExit": ("raise SystemExit(0)", "SystemExit: 0"),
    "an exception": ("1 / 0", "ZeroDivisionError"),
    "a lone surrogate": (r"raise ValueError('\ud800')", "ValueError"),
    "str that raises": ("class E(Exception):\n  __str__ = None\nraise E", "E: "),
    "null bytes": ("\0", "null bytes"),
}


@pytest.mark.parametrize(("code", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_module_is_one_errored_test_and_the_others_go_on(
    make_app: MakeApp, code: str, said: str
) -> None:
    make_app("shop", {"smoke/a.py": smoke(), "smoke/b.py": code, "smoke/c.py": smoke()})
    found = discover()
    assert ids(found) == ["shop.smoke.a.T.test_it", "shop.smoke.b", "shop.smoke.c.T.test_it"]
    broken = only_broken(found)
    assert broken.apps == ("shop",)
    assert broken.modules == ("shop.smoke.b",)
    error = the_error(broken)
    assert "shop.smoke.b cannot be imported" in error
    assert said in error
    assert "SMOKETEST_SKIP_APPS" in error


def test_a_module_whose_import_fails_deeper_down_is_broken_and_not_absent(
    make_app: MakeApp,
) -> None:
    files = {"smoke.py": "\nfrom shop import deeper", "deeper.py": "import shop.absent"}
    folder = make_app("shop", files)
    broken = only_broken(discover())
    error = the_error(broken)
    assert broken.id == "shop.smoke"
    assert f"({folder / 'smoke.py'}, line 2)" in error
    assert "deeper.py" in error  # the original traceback is there, too
    assert "importlib" not in error


def test_the_place_of_what_is_broken_is_in_the_module(make_app: MakeApp) -> None:
    folder = make_app("shop", {"smoke/a.py": "\n\n1 / 0", "smoke/b.py": "\ndef:"})
    specs = [one.test.spec() for one in discover()]  # type: ignore[attr-defined]
    assert [(spec.file, spec.line) for spec in specs] == [
        (str(folder / "smoke/a.py"), 3),
        (str(folder / "smoke/b.py"), 2),
    ]


def test_a_package_that_cannot_be_imported_is_one_error_for_all_of_it(make_app: MakeApp) -> None:
    make_app("shop", {"smoke/__init__.py": "1 / 0", "smoke/a.py": smoke()})
    assert ids() == ["shop.smoke"]


def test_a_repaired_module_runs_at_the_next_discovery(make_app: MakeApp) -> None:
    folder = make_app("shop", {"smoke.py": "1 / 0"})
    assert only_broken(discover()).id == "shop.smoke"
    (folder / "smoke.py").write_text(smoke())
    os.utime(folder / "smoke.py", (0, 0))  # or Python's cache may take it for unchanged
    assert ids() == ["shop.smoke.T.test_it"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, GeneratorExit])
def test_an_interruption_during_an_import_is_no_error_of_the_module(
    make_app: MakeApp, interruption: type[BaseException]
) -> None:
    make_app("shop", {"smoke.py": f"raise {interruption.__name__}"})
    with pytest.raises(interruption):
        discover()


def test_a_module_that_raises_skiptest_is_one_skipped_test(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": "import unittest\nraise unittest.SkipTest('no bucket here')"})
    (candidate,) = discover()
    result = outcome(candidate)
    assert candidate.id == "shop.smoke"
    assert [reason for _, reason in result.skipped] == ["no bucket here"]
    assert result.wasSuccessful()


@pytest.mark.parametrize("raised", ["ValueError('no')", "SystemExit('no')"])
def test_a_class_that_cannot_be_built_is_one_error_and_the_others_run(
    make_app: MakeApp, raised: str
) -> None:
    bad = f"""
        class Bad(SmokeTest):
            def __init__(self, name):
                raise {raised}
            def test_a(self): pass
            def test_b(self): pass
    """
    folder = make_app("shop", {"smoke.py": smoke("A") + dedent(bad) + smoke("Z")})
    found = discover()
    assert ids(found) == ["shop.smoke.A.test_it", "shop.smoke.Bad", "shop.smoke.Z.test_it"]
    error = the_error(only_broken(found))
    assert "shop.smoke.Bad cannot be made ready to run" in error
    assert raised.partition("(")[0] + ": no" in error
    assert str(folder / "smoke.py") in error


def test_an_attribute_that_cannot_be_used_is_one_error_of_the_class(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": smoke() + "    timeout = 'soon'\n"})
    error = the_error(only_broken(discover()))
    assert "'soon'" in error
    assert ".. " not in error  # the reason is a sentence of ours, and has its full stop


@pytest.mark.parametrize("base", ["unittest.TestCase", "django.test.TestCase"])
def test_a_testcase_that_is_no_smoketest_is_one_error(make_app: MakeApp, base: str) -> None:
    code = f"""
        import django.test, unittest

        class Plain({base}):
            def test_a(self): raise AssertionError
            def test_b(self): raise AssertionError
    """
    make_app("shop", {"smoke.py": code})
    make_app("bank", {"smoke.py": "from shop.smoke import Plain"})
    (candidate,) = discover()
    assert candidate.id == "shop.smoke.Plain"
    assert candidate.apps == ("shop", "bank")
    error = the_error(candidate)
    assert "would not be rolled back" in error
    assert "smoketest.SmokeTest" in error


@pytest.mark.parametrize("fixture", ["setUpModule", "tearDownModule"])
@pytest.mark.parametrize("body", ["async def {}(): pass", "def {}(): yield"])
def test_module_fixture_that_nobody_would_run_is_one_error(
    make_app: MakeApp, fixture: str, body: str
) -> None:
    make_app("shop", {"smoke.py": smoke() + body.format(fixture) + "\n"})
    found = discover()
    assert ids(found) == [f"shop.smoke.{fixture}", "shop.smoke.T.test_it"]
    assert "calling it runs none of its lines" in the_error(found[0])


def test_load_tests_is_one_error_because_what_it_adds_would_be_missed(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": smoke() + "def load_tests(loader, tests, pattern): pass\n"})
    found = discover()
    assert ids(found) == ["shop.smoke.load_tests", "shop.smoke.T.test_it"]
    assert "load_tests is not called" in the_error(found[0])


# -- apps left out


@pytest.mark.parametrize("word", ["bank", "money", "bank.apps.BankConfig", "bank.BankConfig"])
def test_an_app_is_left_out_by_module_path_label_or_appconfig_path(
    make_app: MakeApp, word: str
) -> None:
    config = """
        from django.apps import AppConfig

        class BankConfig(AppConfig):
            name = "bank"
            label = "money"
    """
    files = {"__init__.py": "from bank.apps import BankConfig", "apps.py": config}
    make_app("bank", {**files, "smoke.py": smoke()}, installed_as="bank.BankConfig")
    make_app("shop", {"smoke.py": smoke()})
    assert ids(discover(skip_apps=[word])) == ["shop.smoke.T.test_it"]


def test_the_module_of_an_app_that_is_left_out_is_not_even_imported(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": "raise AssertionError"})
    assert discover(skip_apps=["shop"]) == []
    assert "shop.smoke" not in sys.modules


def test_the_path_of_djangos_own_appconfig_names_no_app(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": smoke()})
    assert not is_named(apps.get_app_config("shop"), "django.apps.AppConfig")


def test_app_labels_are_all_words_for_all_apps() -> None:
    with override_settings(INSTALLED_APPS=["django.contrib.auth", "tests.testapp"]):
        assert app_labels() == ["auth", "testapp", "django.contrib.auth", "tests.testapp"]


# -- probes of the settings

PROBES = """
    from smoketest import SmokeTest

    class Disk(SmokeTest):
        abstract = True
        path: str
        min_free = 5

        def test_free(self):
            raise RuntimeError(self.path, self.min_free)

    class Plain(SmokeTest):
        def test_it(self): pass

    class Empty(SmokeTest):
        pass

    def function(): pass
"""


@pytest.fixture
def ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the module ``ops_probes``, of no app."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "ops_probes", raising=False)
    (tmp_path / "ops_probes.py").write_text(dedent(PROBES))


@pytest.mark.usefixtures("ops")
def test_a_probe_comes_last_under_its_own_address_and_of_no_app(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": smoke()})
    first, last = discover(probes=["ops_probes.Plain"])
    assert first.id == "shop.smoke.T.test_it"
    assert (last.id, last.apps, last.modules) == ("ops_probes.Plain.test_it", (), ())


@pytest.mark.usefixtures("ops")
def test_a_probe_runs_with_the_attributes_of_the_settings() -> None:
    (candidate,) = discover(probes=[("ops_probes.Disk", {"path": "/mnt", "min_free": 7})])
    assert candidate.id == "ops_probes.Disk.test_free"
    assert "RuntimeError: ('/mnt', 7)" in the_error(candidate)


@pytest.mark.usefixtures("ops")
def test_a_probe_named_twice_runs_twice_under_two_ids() -> None:
    settings: list[Mapping[str, object]] = [{"path": "/a"}, {"path": "/b"}]
    first, second = discover(probes=[("ops_probes.Disk", each) for each in settings])
    assert first.id == "ops_probes.Disk.test_free"
    assert second.id == "ops_probes.Disk-2.test_free"
    assert "('/a', 5)" in the_error(first)
    assert "('/b', 5)" in the_error(second)


@pytest.mark.usefixtures("ops")
def test_a_class_both_in_an_app_and_as_a_plain_probe_runs_once(make_app: MakeApp) -> None:
    make_app("shop", {"smoke.py": "from ops_probes import Plain"})
    (candidate,) = discover(probes=["ops_probes.Plain"])
    assert candidate.apps == ("shop",)


@pytest.mark.usefixtures("ops")
@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ("Disk", "it is no dotted path to a class"),
        ("no_such_package.Disk", "No module named 'no_such_package'"),
        ("ops_probes.Dsik", "ops_probes has no 'Dsik'; did you mean 'Disk'?"),
        ("ops_probes.Disk", "it is abstract, so it needs attributes"),
        ("ops_probes.Empty", "it has no test methods"),
        ("ops_probes.function", "no class derived from smoketest.SmokeTest"),
        ("unittest.TestCase", "no class derived from smoketest.SmokeTest"),
        (("ops_probes.Disk", {"min_fre": 1}), "'min_fre' to set; did you mean 'min_free'?"),
        (("ops_probes.Disk", {"_specs": 1}), "no attribute '_specs' to set"),
        (("ops_probes.Disk", {"test_free": None}), "no attribute 'test_free' to set"),
    ],
)
def test_a_probe_that_cannot_be_used_is_one_error_that_says_why(probe: Probe, said: str) -> None:
    (candidate,) = discover(probes=[probe])
    path = probe if isinstance(probe, str) else probe[0]
    assert (candidate.id, candidate.broken) == (path, True)
    error = the_error(candidate)
    assert f"SMOKETEST_PROBES names {path!r}" in error
    assert said in error


@pytest.mark.usefixtures("ops")
def test_two_unusable_settings_of_one_probe_are_two_errors() -> None:
    first, second = discover(probes=[("ops_probes.Disk", {"a": 1}), ("ops_probes.Disk", {"b": 1})])
    assert (first.id, second.id) == ("ops_probes.Disk", "ops_probes.Disk-2")
    assert "'a' to set" in the_error(first)
    assert "'b' to set" in the_error(second)
