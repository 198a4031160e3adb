"""Storages: files that come back, and static files that are there."""

from __future__ import annotations

from pathlib import Path

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage
from django.test import override_settings

from tests.probes.running import outcomes

MANIFEST = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
WITH_STATIC = ["django.contrib.staticfiles", "smoketest"]


class Forgetful(FileSystemStorage):
    """Gives back another content than it was given."""

    def open(self, name: str, mode: str = "rb") -> File[bytes]:
        return ContentFile(b"something else")


class Hoarding(FileSystemStorage):
    """Deletes nothing."""

    def delete(self, name: str) -> None:
        pass


def probed(folder: Path, backend: str = "django.core.files.storage.FileSystemStorage") -> str:
    default = {"BACKEND": backend, "OPTIONS": {"location": str(folder)}}
    with override_settings(STORAGES={"default": default}):
        return outcomes("Storages")["test_storage_default"]


def test_folder_passes_and_keeps_its_files_only(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    assert probed(tmp_path) == "passed"
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    assert (tmp_path / "photo.jpg").read_bytes() == b"photo"


def test_missing_folder_fails_and_is_not_made(tmp_path: Path) -> None:
    outcome = probed(tmp_path / "mount")
    assert outcome.startswith("failed: Storage 'default' has no folder: ")
    assert not (tmp_path / "mount").exists()


def test_read_only_folder_fails() -> None:
    # Not by permissions, which root may ignore: a file system that has no files.
    outcome = probed(Path("/proc"))
    assert outcome.startswith("failed: Storage 'default' does not work: ")


def test_content_that_differs_fails(tmp_path: Path) -> None:
    outcome = probed(tmp_path, f"{__name__}.Forgetful")
    assert outcome.startswith("failed: Storage 'default' gave back something else")
    assert list(tmp_path.iterdir()) == []


def test_file_that_stays_is_named(tmp_path: Path) -> None:
    outcome = probed(tmp_path, f"{__name__}.Hoarding")
    [left] = tmp_path.iterdir()
    assert f"still has {left.name!r} after it was deleted" in outcome


def static(root: Path, backend: str = MANIFEST) -> str:
    with override_settings(
        INSTALLED_APPS=WITH_STATIC,
        STORAGES={"staticfiles": {"BACKEND": backend}},
        STATIC_ROOT=str(root),
        STATIC_URL="/static/",
    ):
        return outcomes("Storages")["test_storage_staticfiles"]


def manifest(root: Path) -> None:
    text = '{"paths": {"a.css": "a.1.css", "b.js": "b.2.js"}, "version": "1.1", "hash": "x"}'
    (root / "staticfiles.json").write_text(text)
    (root / "a.1.css").touch()


def test_static_files_that_are_there_pass(tmp_path: Path) -> None:
    manifest(tmp_path)
    (tmp_path / "b.2.js").touch()
    assert static(tmp_path) == "passed"


def test_static_file_that_is_missing_is_named(tmp_path: Path) -> None:
    manifest(tmp_path)
    assert static(tmp_path).startswith("failed: 1 static files are missing, 'b.2.js' first.")


def test_missing_manifest_fails(tmp_path: Path) -> None:
    outcome = static(tmp_path)
    assert outcome.startswith("failed: The static files have no manifest: 'staticfiles.json'")
    assert outcome.endswith("Run `manage.py collectstatic`.")


def test_storage_without_a_manifest_is_skipped(tmp_path: Path) -> None:
    outcome = static(tmp_path, "django.contrib.staticfiles.storage.StaticFilesStorage")
    assert outcome == "skipped: StaticFilesStorage keeps no manifest of the static files."


def test_static_files_are_left_out_without_their_app() -> None:
    assert set(outcomes("Storages")) == {"test_storage_default"}
