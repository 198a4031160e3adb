"""The running release, and the one that is expected."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import override_settings

from smoketest.probes.sources import value_from
from tests.probes.running import outcomes


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    file = tmp_path / "RELEASE"
    file.write_text("2026.47\n")
    return file


def probed(file: Path) -> str:
    [outcome] = outcomes("Release", expected=f"file:{file}").values()
    return outcome


def test_expected_release_passes(deployed: Path) -> None:
    with override_settings(SMOKETEST_RELEASE="2026.47"):
        assert probed(deployed) == "passed"


def test_other_release_fails_with_both(deployed: Path) -> None:
    with override_settings(SMOKETEST_RELEASE="2026.46"):
        assert probed(deployed).startswith(
            f"failed: Release '2026.46' runs, and file:{deployed} expects '2026.47'."
        )


def test_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    assert "RELEASE' holds nothing." in probed(tmp_path / "RELEASE")


def test_variable_is_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMIT", "abc123")
    got = outcomes("Release", expected="variable:GIT_COMMIT", running="abc123")
    assert got == {"test_release_variable_GIT_COMMIT": "passed"}


@pytest.mark.parametrize("source", ["setting:NOT_THERE", "variable:NOT_THERE", "variable:EMPTY"])
def test_source_that_holds_nothing_is_an_error(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(LookupError, match="holds nothing"):
        value_from(source)
