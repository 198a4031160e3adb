"""Mounts: there, not there, read-only, and hanging."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from smoketest.probes import mount
from tests.probes.running import outcomes


def probed(path: Path | str, **attributes: Any) -> str:
    [outcome] = outcomes("Mount", path=path, **attributes).values()
    return outcome


def test_mounted_file_system_passes() -> None:
    assert probed("/proc", file="version") == "passed"


def test_folder_that_is_not_mounted_fails(tmp_path: Path) -> None:
    assert probed(tmp_path).startswith(f"failed: {tmp_path} is not mounted.")


def test_folder_that_need_not_be_mounted_passes_and_keeps_no_file(tmp_path: Path) -> None:
    assert probed(tmp_path, mounted=False, writable=True) == "passed"
    assert list(tmp_path.iterdir()) == []


def test_mount_that_refuses_to_write_fails() -> None:
    assert probed("/proc", writable=True).startswith("failed: /proc cannot be used: FileNotFound")


def test_missing_file_fails(tmp_path: Path) -> None:
    outcome = probed(tmp_path, mounted=False, file="there")
    assert outcome.startswith(f"failed: {tmp_path} cannot be used: FileNotFoundError")


@pytest.mark.parametrize("known", [True, False])
def test_mount_points_are_known_with_and_without_linux(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not known:
        monkeypatch.setattr(mount, "_MOUNTS", Path("/nonexistent"))
    assert mount._is_mounted(Path("/proc"))
    assert not mount._is_mounted(Path("/proc/self"))


def test_mount_that_hangs_fails_with_its_name_and_holds_one_thread(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    attributes = {"mounted": False, "file": "fifo", "timeout": 0.5}
    first = probed(tmp_path, **attributes)
    assert first.startswith(f"failed: {tmp_path} hangs: it has not answered for 0.4 s.")
    thread = mount._stuck[str(tmp_path)]
    assert probed(tmp_path, **attributes) == first
    assert mount._stuck[str(tmp_path)] is thread
    fifo.open("wb").close()  # now it answers
    thread.join(10)
    assert probed(tmp_path, mounted=False) == "passed"
