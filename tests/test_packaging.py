"""What is in the sdist and in the wheel: all that is ours, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest

import smoketest

ROOT = Path(__file__).parent.parent
SUFFIXES = {".py", ".html", ".css", ".js", ".typed"}
"""Of the files that a package may have."""

NAME = f"django_smoketest-{smoketest.__version__}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a fresh sdist and wheel."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture
def wheel(built: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as opened:
        yield opened


@pytest.fixture
def metadata(wheel: zipfile.ZipFile) -> Message:
    return HeaderParser().parsestr(wheel.read(f"{NAME}.dist-info/METADATA").decode())


def test_wheel_has_every_file_of_the_package_and_nothing_foreign(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if not name.startswith(f"{NAME}.dist-info/")}
    assert inside == package_files(ROOT / "src")


def test_sdist_has_the_package_and_its_papers_and_nothing_foreign(built: Path) -> None:
    with tarfile.open(built / f"{NAME}.tar.gz") as sdist:
        inside = {name.removeprefix(f"{NAME}/") for name in sdist.getnames()}
    papers = {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"}
    made = {"PKG-INFO", ".gitignore"}  # hatchling adds both
    assert inside - made == {f"src/{name}" for name in package_files(ROOT / "src")} | papers


def test_package_has_templates_and_types(wheel: zipfile.ZipFile) -> None:
    page = {f"smoketest/templates/smoketest/report.{kind}" for kind in ("html", "css", "js")}
    assert {"smoketest/py.typed", *page} <= set(wheel.namelist())


def test_django_is_the_only_hard_dependency(metadata: Message) -> None:
    hard = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert hard == ["django>=5.2"]


def test_metadata_says_what_it_is(metadata: Message) -> None:
    assert metadata["Name"] == "django-smoketest"
    assert metadata["Version"] == smoketest.__version__
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"


def test_a_release_candidate_is_no_stable_version(metadata: Message) -> None:
    stable = "Development Status :: 5 - Production/Stable" in metadata.get_all("Classifier", [])
    assert stable is smoketest.__version__.replace(".", "").isdigit()


def test_the_changelog_begins_with_this_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text()
    [first, *_] = re.findall(r"^## (\S+)", changes, re.MULTILINE)
    assert first == smoketest.__version__


def test_what_pypi_shows_is_the_readme_without_links_that_would_lead_nowhere(
    metadata: Message,
) -> None:
    shown = metadata.get_payload()
    readme = (ROOT / "README.md").read_text()
    assert isinstance(shown, str)
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "docs/images" in readme
    assert re.findall(r"\]\((?!https?:)", shown) == []
    assert len(shown.splitlines()) > 0.9 * len(readme.splitlines())


def test_wheel_has_the_licence(wheel: zipfile.ZipFile) -> None:
    licence = wheel.read(f"{NAME}.dist-info/licenses/LICENSE").decode()
    assert licence.startswith("BSD 3-Clause License")


def package_files(source: Path) -> set[str]:
    """The files of the package as they are, less what Python has compiled."""
    return {
        path.relative_to(source).as_posix()
        for path in (source / "smoketest").rglob("*")
        if path.suffix in SUFFIXES
    }
