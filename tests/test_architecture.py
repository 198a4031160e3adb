"""The directions of the house: who may import whom, and who alone may do what.

The table is the one of the architecture page. A new module needs a row here; a module
that has to import upwards stands in the wrong row, or does two things.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "smoketest"

# From the bottom up. A room imports from the rows below it. A wing (a folder) is one
# room, except that of the renderers, whose registry stands above its files.
ROWS = (
    "past",
    "results exceptions options escaping spelling negotiation watchdog errands loops arrivals",
    "findings console",
    "matrix",
    "coroutines isolation queries selection recorder refusals wording schema tracebacks",
    "fleet asserts returned",
    "page",
    "timeouts verification marks client renderers.* listing terminal progress supervision stopping",
    "declared renderers",
    "testcases",
    "units unloadable smoketest",
    "discovery importing scheduling probes",
    "processes",
    "runner",
    "conf sharing cleansing log query waiting outputs",
    "access streaming arguments delivery history",
    "responses periodic workers telling",
    "faults tasks",
    "views management.commands.smoketest checks gate",
    "urls apps __main__",
)
WINGS = (
    *("results", "isolation", "scheduling", "processes", "probes"),
    *("conf", "checks", "gate", "page", "workers"),
)

VALUES = ("past", "results", "exceptions", "options", "escaping")
"""They import the standard library only, and each other."""

WITHOUT_A_PROJECT = (
    *(*VALUES, "findings", "matrix", "spelling", "wording", "schema", "fleet", "negotiation"),
    *("page", "renderers.*", "renderers"),
)
"""They import neither Django's settings nor its HTTP: reports render without a project."""

MAY_KNOW_HTTP = ("views", "responses", "faults", "query", "access", "checks", "client")
"""The client is Django's test client; the checks ask what ALLOWED_HOSTS admits."""

MAY_PRINT = (
    *("management.commands.smoketest", "console", "gate.program", "processes.inside", "__main__"),
)
"""The processes print nothing; they empty the streams before they fork."""

MAY_READ_SETTINGS = ("conf",)

Modules = Mapping[str, ast.Module]
"""Syntax trees by the module's name inside the package; the package itself is ``smoketest``."""


def test_every_module_has_a_row() -> None:
    assert homeless(house()) == []


def test_imports_run_downwards() -> None:
    assert upward_imports(house()) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(house()) == []


def test_values_import_the_standard_library_only() -> None:
    allowed = frozenset({*sys.stdlib_module_names, "smoketest"})
    values = tuple(name for name in house() if room(name) in VALUES)
    assert foreign_imports(house(), values, allowed=allowed) == []


def test_values_import_no_other_room() -> None:
    values = {name: tree for name, tree in house().items() if room(name) in VALUES}
    targets = {one for name, tree in values.items() for one in own_imports(name, tree)}
    assert {room(one) for one in targets} <= {*VALUES}


def test_a_report_renders_without_settings_and_http() -> None:
    assert imports_of(house(), ("django.conf", "django.http"), by=WITHOUT_A_PROJECT) == []


def test_http_is_known_at_the_entrances_only() -> None:
    others = [name for name in house() if room(name) not in MAY_KNOW_HTTP]
    assert imports_of(house(), ("django.http",), by=others) == []


def test_probes_are_written_as_a_user_would() -> None:
    """They import from the house what ``from smoketest import …`` gives, or each other."""
    probes = {name: tree for name, tree in house().items() if name.startswith("probes.")}
    targets = {target for tree in probes.values() for target in own_imports("probes.x", tree)}
    assert {t for t in targets if t != "smoketest" and not t.startswith("probes")} == set()


def test_conf_alone_reads_our_settings() -> None:
    assert setting_reads(house(), except_in=MAY_READ_SETTINGS) == []


def test_the_command_alone_prints() -> None:
    assert prints(house(), except_in=MAY_PRINT) == []


def test_the_id_of_a_check_is_written_once() -> None:
    ids = Counter(
        node.value
        for tree in house().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and re.fullmatch(r"smoketest\.[EWI]\d{3}", str(node.value))
    )
    assert [name for name, times in ids.items() if times > 1] == []


def test_every_renderer_is_in_the_registry_once() -> None:
    from smoketest.renderers import RENDERERS

    files = [path.stem for path in (PACKAGE / "renderers").glob("[a-z]*.py")]
    assert sorted(renderer.format for renderer in RENDERERS) == sorted(files)
    assert {type(one).__module__.rpartition(".")[2] for one in RENDERERS} == set(files)


# What follows shows that the rules above find what they are there to find.


@pytest.mark.parametrize(
    "source",
    [
        "from smoketest.views import IndexView",
        "from smoketest import views",
        "import smoketest.views",
        "from .views import IndexView",
        "from . import views",
        "def late():\n    from smoketest.views import IndexView",
        "if TYPE_CHECKING:\n    from smoketest.views import IndexView",
    ],
)
def test_import_upwards_is_found(source: str) -> None:
    assert upward_imports(written(runner=source, views="")) == ["runner imports views"]


def test_import_beside_is_found() -> None:
    modules = written(conf="import smoketest.sharing", sharing="")
    assert upward_imports(modules) == ["conf imports sharing"]


def test_import_beside_inside_a_wing_is_none() -> None:
    modules = written(**{"isolation": "from .guard import x", "isolation.guard": "x = 1"})
    assert upward_imports(modules) == []


def test_renderer_that_imports_another_is_found() -> None:
    modules = written(**{"renderers.a": "from .b import x", "renderers.b": "x = 1"})
    assert upward_imports(modules) == ["renderers.a imports renderers.b"]


def test_circle_inside_a_wing_is_found() -> None:
    inner = {"isolation.a": "def f():\n    from . import b", "isolation.b": "from .a import f"}
    assert set(circle(written(**inner))) == {"isolation.a", "isolation.b"}


def test_module_without_a_row_is_found() -> None:
    assert homeless(written(utils="", conf="")) == ["utils"]


def test_setting_read_elsewhere_is_found() -> None:
    modules = written(
        runner="settings.SMOKETEST_TIMEOUT",
        views='getattr(settings, "SMOKETEST_TOKENS", [])',
        conf="settings.SMOKETEST_TIMEOUT",
        access='"Send one of SMOKETEST_TOKENS"',
    )
    assert setting_reads(modules, except_in=("conf",)) == ["runner:1", "views:1"]


def test_print_elsewhere_is_found() -> None:
    modules = written(runner="print(1)", views="import sys\nsys.stderr.write('')")
    assert prints(modules, except_in=()) == ["runner:1", "views:2"]


def test_foreign_import_is_found() -> None:
    modules = written(
        results="import json\nfrom django import db\nfrom . import options", options=""
    )
    found = foreign_imports(modules, ("results",), allowed=frozenset({"json"}))
    assert found == ["results imports django", "results imports smoketest"]


@cache
def house() -> Modules:
    """The modules of the package as they are."""
    return {
        module_name(path): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def written(**sources: str) -> Modules:
    """Modules from `sources`, by their names."""
    return {name: ast.parse(source) for name, source in sources.items()}


def module_name(path: Path) -> str:
    """``smoketest`` for the package, else the name below it: ``isolation.guard``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "smoketest"


def room(name: str) -> str:
    """The room of the table that module `name` is in."""
    wing, _, inner = name.partition(".")
    if wing == "renderers" and inner:
        return "renderers.*"
    return wing if wing in WINGS else name


def level(name: str) -> int:
    """The row of module `name`, counted from the bottom; -1 without one."""
    return next((number for number, row in enumerate(ROWS) if room(name) in row.split()), -1)


def homeless(modules: Modules) -> list[str]:
    """The modules that no row names. Folders that only hold commands need none."""
    rooms = {word for row in ROWS for word in row.split()} | {"management", "management.commands"}
    return [name for name in modules if room(name) not in rooms]


def upward_imports(modules: Modules) -> list[str]:
    """Each import of a room that is not below, those in functions and for types included."""
    return [
        f"{name} imports {target}"
        for name, tree in modules.items()
        for target in sorted(own_imports(name, tree, modules))
        if not _may_import(name, target)
    ]


def _may_import(name: str, target: str) -> bool:
    in_one_wing = room(name) == room(target) and room(name) in WINGS
    return in_one_wing or level(target) < level(name)


def circle(modules: Modules) -> list[str]:
    """Modules that import each other in a circle when they run, or nothing.

    What is imported for types alone makes no circle: it is never run.
    """
    graph = {
        name: own_imports(name, _without_types(tree), modules) - {_parent(name)}
        for name, tree in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _parent(name: str) -> str:
    return name.rpartition(".")[0] or "smoketest"


def _without_types(tree: ast.Module) -> ast.Module:
    kept = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    return ast.Module(kept, type_ignores=[])


def own_imports(name: str, tree: ast.Module, modules: Modules | None = None) -> set[str]:
    """The modules of the house that module `name` imports."""
    known = house() if modules is None else modules
    prefix = "smoketest."
    found = set()
    for full in imported(name, tree, known):
        if full == "smoketest" or full.startswith(prefix):
            found.add(full.removeprefix(prefix))
    return found


def imported(name: str, tree: ast.Module, modules: Modules) -> Iterator[str]:
    """The full names of the modules that module `name` imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(name, node, modules)
            for alias in node.names:
                yield _submodule(base, alias.name, modules) or base


def _base(name: str, node: ast.ImportFrom, modules: Modules) -> str:
    """The module after ``from``, with its dots resolved."""
    if not node.level:
        return str(node.module)
    here = ["smoketest", *(name.split(".") if name != "smoketest" else [])]
    is_package = name == "smoketest" or any(other.startswith(f"{name}.") for other in modules)
    kept = here[: len(here) - node.level + is_package]
    return ".".join([*kept, node.module] if node.module else kept)


def _submodule(base: str, name: str, modules: Modules) -> str | None:
    """``from base import name`` imports this module, if `name` is one."""
    full = f"{base}.{name}"
    return full if full.removeprefix("smoketest.") in modules else None


def foreign_imports(modules: Modules, names: tuple[str, ...], allowed: frozenset[str]) -> list[str]:
    """Top-level packages that `names` import and that are not `allowed`."""
    return [
        f"{name} imports {top}"
        for name in names
        if name in modules
        for top in sorted({full.split(".")[0] for full in imported(name, modules[name], modules)})
        if top not in allowed
    ]


def imports_of(
    modules: Modules, packages: tuple[str, ...], by: tuple[str, ...] | list[str]
) -> list[str]:
    """Each import of one of `packages`, or from below it, in the rooms `by`."""
    return [
        f"{name} imports {full}"
        for name, tree in modules.items()
        if room(name) in by or name in by
        for full in imported(name, tree, modules)
        if any(f"{full}.".startswith(f"{package}.") for package in packages)
    ]


def setting_reads(modules: Modules, except_in: tuple[str, ...]) -> list[str]:
    """Where ``settings.SMOKETEST_…`` or ``getattr(settings, "SMOKETEST_…")`` is written."""
    return [
        f"{name}:{node.lineno}"
        for name, tree in modules.items()
        if room(name) not in except_in
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr.startswith("SMOKETEST_"))
        or (isinstance(node, ast.Call) and _reads_by_name(node))
    ]


def _reads_by_name(call: ast.Call) -> bool:
    named = isinstance(call.func, ast.Name) and call.func.id in {"getattr", "hasattr"}
    return named and any(
        isinstance(word, ast.Constant) and str(word.value).startswith("SMOKETEST_")
        for word in call.args
    )


def prints(modules: Modules, except_in: tuple[str, ...]) -> list[str]:
    """Where ``print`` is called, or ``sys.stdout`` or ``sys.stderr`` is used."""
    return [
        f"{name}:{node.lineno}"
        for name, tree in modules.items()
        if name not in except_in
        for node in ast.walk(tree)
        if (isinstance(node, ast.Name) and node.id == "print")
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.stderr"})
    ]
