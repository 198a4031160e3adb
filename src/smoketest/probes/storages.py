"""The storages keep files, and the static files are where the manifest says."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage, storages

from .subjects import Probe, chosen

_STATIC = "staticfiles"


class Storages(Probe):
    """Each storage keeps a file, gives the same back, and deletes it.

    The file is named ``smoketest-`` and 32 digits, and deleted; it stays where the
    storage refuses to delete. No other file is touched. The storage of the static files
    is only read: its manifest is there, and names files that exist.
    """

    _leaves = "nothing; a file `smoketest-…` where the storage refuses to delete"
    aliases: Collection[str] | Literal["__all__"] = "__all__"
    """Aliases of ``STORAGES``; ``"__all__"`` has the static files only where their app is
    installed."""
    static_files: Annotated[int, "files"] = 100
    """How many files of the manifest are looked for; a remote storage is asked for each."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The aliases."""
        aliases = chosen(cls.aliases, settings.STORAGES, "STORAGES")
        if cls.aliases == "__all__" and not apps.is_installed("django.contrib.staticfiles"):
            aliases = [alias for alias in aliases if alias != _STATIC]
        return aliases

    def check_storage(self, alias: str) -> None:
        """A file is saved, read back, compared and deleted; static files are where they belong."""
        with self.explained(
            f"Storage {alias!r} does not work",
            f"Look at its permissions and free space, and at STORAGES[{alias!r}].",
        ):
            storage = storages[alias]
            if alias == _STATIC:
                self._read_manifest(storage)
            else:
                self._save_and_delete(alias, storage)

    def _save_and_delete(self, alias: str, storage: Storage) -> None:
        # Django would make the folder, and fill the disk under a mount that is missing.
        if isinstance(storage, FileSystemStorage) and not Path(storage.location).is_dir():
            self.fail(
                f"Storage {alias!r} has no folder: {storage.location!r} does not exist. A mount may"
                " be missing. Mount it, or make the folder."
            )
        content = uuid4().hex.encode()
        name = storage.save(f"smoketest-{uuid4().hex}.txt", ContentFile(content))
        try:
            with storage.open(name) as file:
                read = file.read()
        finally:
            storage.delete(name)
        if read != content:
            self.fail(
                f"Storage {alias!r} gave back something else than what was saved. What it keeps"
                " cannot be relied on. Look at the service behind it."
            )
        if storage.exists(name):
            self.fail(
                f"Storage {alias!r} still has {name!r} after it was deleted. The credentials may"
                " not delete. Allow it, and remove the file by hand."
            )

    def _read_manifest(self, storage: Storage) -> None:
        if not isinstance(storage, ManifestFilesMixin):
            self.skipTest(f"{type(storage).__name__} keeps no manifest of the static files.")
        paths, _ = storage.load_manifest()
        if not paths:
            self.fail(
                f"The static files have no manifest: {storage.manifest_name!r} is missing or empty."
                " Every page that uses {% static %} fails. Run `manage.py collectstatic`."
            )
        missing = [
            name for name in islice(paths.values(), self.static_files) if not storage.exists(name)
        ]
        if missing:
            self.fail(
                f"{len(missing)} static files are missing, {missing[0]!r} first. The manifest names"
                " them, and they were not copied. Run `manage.py collectstatic`."
            )
