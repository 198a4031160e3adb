"""Programs: there, too old, silent, and missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoketest.probes.executables import _numbers
from tests.probes.running import outcomes


@pytest.fixture(autouse=True)
def kettle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program on the PATH that says it is version 5.10.2."""
    program = tmp_path / "kettle"
    program.write_text("#!/bin/sh\necho kettle v5.10.2-rc1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    return program


def probed(least: str) -> str:
    return outcomes("Executables", programs={"kettle": least})["test_program_kettle"]


@pytest.mark.parametrize("least", ["", "5", "5.9", "5.10.2", "5.10.2.0"])
def test_new_enough_passes(least: str) -> None:
    assert probed(least) == "passed"


@pytest.mark.parametrize("least", ["5.11", "6"])
def test_too_old_fails(least: str, kettle: Path) -> None:
    outcome = probed(least)
    assert outcome.startswith(f"failed: kettle is version 5.10.2. The probe asks for {least} or")
    assert str(kettle) in outcome


def test_missing_program_fails() -> None:
    [outcome] = outcomes("Executables", programs=["teapot"]).values()
    assert outcome.startswith("failed: There is no program 'teapot' on the PATH of this process.")


def test_program_without_a_version_fails(kettle: Path) -> None:
    kettle.write_text("#!/bin/sh\necho boiling >&2\n")
    assert "printed no version, but 'boiling\\n'." in probed("1")


@pytest.mark.usefixtures("impatient")
def test_program_that_does_not_end_fails(kettle: Path) -> None:
    kettle.write_text("#!/bin/sh\nexec sleep 60\n")
    [outcome] = outcomes("Executables", programs={"kettle": "1"}).values()
    assert "could not be asked for its version: TimeoutExpired" in outcome


def test_program_that_cannot_start_fails(kettle: Path) -> None:
    kettle.write_text("#!/nonexistent/interpreter\n")
    assert "could not be asked for its version: FileNotFoundError" in probed("1")


def test_versions_are_compared_by_their_numbers() -> None:
    assert _numbers("5.10") > _numbers("5.9")
    assert _numbers("5.0.0") == _numbers("5")
