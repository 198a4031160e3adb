"""Disks and memory: with room, and full."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smoketest.probes.amounts import amount, written
from tests.probes.running import outcomes


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, in memory, that has no space left."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=100", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here: run as root")
    try:
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "filling").write_bytes(bytes(2**21))
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_disk_with_room_passes(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail
    assert free
    got = outcomes("Disk", path=tmp_path, min_free=1, min_free_inodes=1)
    assert set(got.values()) == {"passed"}
    assert len(got) == 2


def test_full_disk_fails(full: Path) -> None:
    got = outcomes("Disk", path=full)
    [space] = [why for name, why in got.items() if name.startswith("test_space_")]
    assert space.startswith(f"failed: {full} has 0 B free of 1.05 MB. The probe asks for 5%.")


def test_disk_without_inodes_fails(full: Path) -> None:
    for number in range(99):
        (full / str(number)).symlink_to("nowhere")
        if not os.statvfs(full).f_favail:
            break
    got = outcomes("Disk", path=full, min_free=0)
    [inodes] = [why for name, why in got.items() if name.startswith("test_inodes_")]
    assert inodes.startswith(f"failed: {full} has 0 inodes free of 100.")


def test_file_system_without_a_number_of_inodes_passes() -> None:
    got = outcomes("Disk", path="/proc", min_free=0, min_free_inodes=1000)
    assert got["test_inodes_proc"] == "passed"


def test_disk_that_is_not_there_fails(tmp_path: Path) -> None:
    got = outcomes("Disk", path=tmp_path / "gone")
    start = f"failed: {tmp_path}/gone cannot be looked at: FileNotFoundError: "
    assert [outcome.startswith(start) for outcome in got.values()] == [True, True]


def test_memory_is_compared_with_what_is_asked_for() -> None:
    assert outcomes("Memory", min_available="1 MB") == {"test_memory_machine": "passed"}
    [outcome] = outcomes("Memory", min_available="100%").values()
    assert "The probe asks for 100%." in outcome


def test_missing_psutil_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    [outcome] = outcomes("Memory").values()
    assert outcome.endswith('Run: pip install "django-smoketest[system]"')


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5%", 50),
        ("0.5 %", 5),
        (7, 7),
        (7.5, 7.5),
        ("2k", 2000),
        ("2 KiB", 2048),
        ("1.5GB", 1.5e9),
        ("3 gib", 3 * 2**30),
        ("9B", 9),
    ],
)
def test_amount_is_read(text: str | float, number: float) -> None:
    assert amount(text, 1000) == number


@pytest.mark.parametrize("text", ["", "much", "5 %%", "5 iB", "-1", "1.2.3 MB"])
def test_what_is_no_amount_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no amount"):
        amount(text, 1000)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.34e15, "2.34 PB")]
)
def test_amount_is_written(number: float, text: str) -> None:
    assert written(number) == text
