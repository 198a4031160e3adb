"""A smoke module that Python passes over for another of the same name is told of."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from smoketest.checks import messages
from tests.checking import found, only

APP = "shaded"
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Makes files of an app; the working directory is the project's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def write(*paths: str, text: str = "raise AssertionError('it was imported')") -> None:
        for path in paths:
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    write(f"{APP}/__init__.py", text="")
    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == APP]:
        del sys.modules[name]


def apps() -> list[str]:
    return [*settings.INSTALLED_APPS, APP]


def test_a_module_beside_a_package_is_a_warning_that_names_both(write: Write) -> None:
    write(f"{APP}/smoke.py", f"{APP}/smoke/__init__.py", f"{APP}/smoke/pages.py")
    said = only(messages.SHADOWED, INSTALLED_APPS=apps())
    assert said.startswith(
        f"Python imports {APP}/smoke/__init__.py as {APP}.smoke, and never {APP}/smoke.py, "
    )


def test_a_folder_without_init_beside_a_module_is_a_warning_that_names_both(write: Write) -> None:
    write(f"{APP}/smoke.py", f"{APP}/smoke/pages.py")
    said = only(messages.SHADOWED, INSTALLED_APPS=apps())
    assert said.startswith(f"Python imports {APP}/smoke.py as {APP}.smoke, and never {APP}/smoke, ")


@pytest.mark.parametrize(
    "files",
    [
        [],
        ["smoke.py"],
        ["smoke.py", "smoke/data.json"],
        ["smoke/__init__.py", "smoke/smoke.py", "smoke/smoke/pages.py"],
        ["smoke/pages.py"],
    ],
    ids=" ".join,
)
def test_what_is_imported_as_it_is_there_is_fine(write: Write, files: list[str]) -> None:
    write(*(f"{APP}/{file}" for file in files))
    assert found(INSTALLED_APPS=apps()) == []


def test_each_part_of_an_app_in_several_folders_is_looked_at(write: Write) -> None:
    extend = "from pkgutil import extend_path; __path__ = extend_path(__path__, __name__)"
    write(f"{APP}/__init__.py", f"more/{APP}/__init__.py", text=extend)
    write(f"{APP}/smoke.py", f"more/{APP}/smoke/__init__.py")
    sys.path.append("more")
    try:
        config = f"{APP}.apps.ShadedConfig"
        write(
            f"{APP}/apps.py",
            text="from django.apps import AppConfig\n"
            f"class ShadedConfig(AppConfig):\n    name = {APP!r}\n    path = '.'\n",
        )
        said = only(messages.SHADOWED, INSTALLED_APPS=[*settings.INSTALLED_APPS, config])
    finally:
        sys.path.remove("more")
    assert f"Python imports {APP}/smoke.py as {APP}.smoke, and never more/{APP}/smoke, " in said
