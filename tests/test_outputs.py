"""Reports in files: refused before the run if need be, and never half written."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from smoketest import outputs
from smoketest.exceptions import UnknownFormat
from smoketest.outputs import InvalidOutput
from smoketest.results import Report


def test_a_format_and_a_file_are_parted_at_the_first_colon() -> None:
    one, two = outputs.parse(["json:a:b.json", "text:-"])
    assert (one.renderer.format, one.file, one.is_stdout) == ("json", "a:b.json", False)
    assert (two.renderer.format, two.is_stdout) == ("text", True)


@pytest.mark.parametrize("specification", ["json", "json:", "", "report.json"])
def test_what_is_no_format_and_file_is_refused_with_an_example(specification: str) -> None:
    with pytest.raises(InvalidOutput, match=r"must be FORMAT:FILE.*junit:smoketest\.xml"):
        outputs.parse([specification])


def test_an_unknown_format_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownFormat, match="Did you mean 'json'"):
        outputs.parse(["jsno:a"])


@pytest.mark.parametrize(
    ("specifications", "where"),
    [(["json:-", "text:-"], "Standard output"), (["json:a", "text:./b/../a"], "a")],
)
def test_two_reports_in_one_file_are_refused(specifications: list[str], where: str) -> None:
    with pytest.raises(InvalidOutput, match=f"{where}.* is to get two reports"):
        outputs.parse(specifications)


def missing_folder(path: Path) -> Path:
    return path / "missing" / "report"


def folder(path: Path) -> Path:
    return path


def too_long(path: Path) -> Path:
    return path / ("x" * 300)


def below_a_file(path: Path) -> Path:
    (path / "file").touch()
    return path / "file" / "report"


@pytest.mark.parametrize("bad", [missing_folder, folder, too_long, below_a_file])
def test_what_cannot_be_written_is_refused_and_nothing_is_made(
    tmp_path: Path, bad: Callable[[Path], Path]
) -> None:
    (output,) = outputs.parse([f"json:{bad(tmp_path)}"])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidOutput, match=r"cannot be written: .*No test has run"):
        output.check()
    assert sorted(tmp_path.rglob("*")) == before


@contextmanager
def as_nobody() -> Iterator[None]:
    """Lay down the rights of root, who may write anything, for a while."""
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_that_this_user_may_not_write_is_refused() -> None:
    with TemporaryDirectory() as folder:  # pytest's own are closed to others
        file = Path(folder) / "report"
        file.touch(mode=0o444)
        Path(folder).chmod(0o777)
        with as_nobody(), pytest.raises(PermissionError):
            outputs.check(str(file))


def test_a_check_leaves_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "report"
    outputs.check(str(file))
    assert list(tmp_path.iterdir()) == []
    file.write_text("of the last run")
    outputs.check(str(file))
    assert file.read_text() == "of the last run"


def test_a_new_file_has_the_mode_that_the_umask_gives_and_an_old_one_keeps_its_own(
    tmp_path: Path,
) -> None:
    old, new, plain = tmp_path / "old", tmp_path / "new", tmp_path / "plain"
    old.write_text("of the last run")
    old.chmod(0o640)
    plain.touch()
    for file in (old, new):
        outputs.write(str(file), b"now")
        assert file.read_text() == "now"
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert new.stat().st_mode == plain.stat().st_mode
    assert len(list(tmp_path.iterdir())) == 3


def test_a_reader_of_the_old_report_keeps_it_whole(tmp_path: Path) -> None:
    file = tmp_path / "report"
    file.write_text("of the last run")
    with file.open() as reader:
        outputs.write(str(file), b"now")
        assert reader.read() == "of the last run"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(file)
    outputs.write(str(link), b"now")
    assert link.is_symlink()
    assert file.read_text() == "now"


def test_a_device_is_written_to_and_stays() -> None:
    outputs.check("/dev/null")
    outputs.write("/dev/null", b"now")
    assert Path("/dev/null").is_char_device()


def test_what_fails_late_leaves_the_old_report_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report"
    file.write_text("of the last run")

    def fail(self: Path, target: Path) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        outputs.write(str(file), b"now")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["of the last run"]


def test_a_report_is_written_in_the_charset_of_its_format(tmp_path: Path) -> None:
    class Ascii:
        format, media_type, charset = "own", "text/plain", "ascii"

        def render(self, report: Report) -> str:
            return "ж \ud800"

    (output,) = outputs.parse([f"own:{tmp_path / 'report'}"], [Ascii()])
    output.write(Report(passed=True))
    assert (tmp_path / "report").read_bytes() == rb"\u0436 \ud800"


GITHUB = {"GITHUB_ACTIONS": "true"}


def test_a_format_with_a_summary_adds_it_to_the_page_of_the_job(tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    page.write_text("# Of another step\n")
    environment = {**GITHUB, "GITHUB_STEP_SUMMARY": str(page)}
    _, summary = outputs.parse(["github:-"], environment=environment)
    summary.check()
    summary.write(Report(passed=True))
    lines = page.read_text().splitlines()
    assert lines[0] == "# Of another step"
    assert len(lines) > 1
    assert not summary.is_stdout


@pytest.mark.parametrize(
    ("specification", "environment"),
    [
        ("json:-", {**GITHUB, "GITHUB_STEP_SUMMARY": "summary.md"}),
        ("github:-", {"GITHUB_STEP_SUMMARY": "summary.md"}),
        ("github:-", GITHUB),
    ],
)
def test_there_is_no_summary_elsewhere(specification: str, environment: dict[str, str]) -> None:
    assert len(outputs.parse([specification], environment=environment)) == 1


def test_a_summary_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    environment = {**GITHUB, "GITHUB_STEP_SUMMARY": str(tmp_path / "missing" / "summary.md")}
    _, summary = outputs.parse(["github:-"], environment=environment)
    with pytest.raises(InvalidOutput, match="GITHUB_STEP_SUMMARY names"):
        summary.check()
