"""There is room left on the disk, and in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Annotated, Any

from .amounts import amount, written
from .subjects import Probe


class Disk(Probe):
    """The file system of a path has free space and free inodes. Nothing is written."""

    path: str | os.PathLike[str] = "/"
    """A path on the file system."""
    min_free: Annotated[str | float, "bytes, or %"] = "5%"
    """Of the space that an ordinary user may fill: ``"5%"``, ``"2 GB"``, or bytes."""
    min_free_inodes: Annotated[str | float, "inodes, or %"] = "5%"
    """Of the inodes; a file system that has no number of them passes."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The path."""
        return [os.fspath(cls.path)]

    def check_space(self, path: str) -> None:
        """There is free space."""
        status = self._status(path)
        free, whole = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
        if free < amount(self.min_free, whole):
            self.fail(
                f"{path} has {written(free)} free of {written(whole)}. The probe asks for"
                f" {self.min_free}. Remove logs and old releases, or give it more space."
            )

    def check_inodes(self, path: str) -> None:
        """There are free inodes."""
        status = self._status(path)
        if status.f_files and status.f_favail < amount(self.min_free_inodes, status.f_files):
            self.fail(
                f"{path} has {status.f_favail:,} inodes free of {status.f_files:,}. The probe asks"
                f" for {self.min_free_inodes}. Remove small files, such as sessions and caches."
            )

    def _status(self, path: str) -> os.statvfs_result:
        with self.explained(f"{path} cannot be looked at", "Mount it, or name another.", OSError):
            return os.statvfs(path)


class Memory(Probe):
    """There is memory that new processes could have, without swapping.

    It is that of the machine: the limit of a container is not known here.
    """

    _extra = "system"
    min_available: Annotated[str | float, "bytes, or %"] = "5%"
    """Of the machine's memory: ``"5%"``, ``"500 MB"``, or bytes."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """One: the machine."""
        return ["machine"]

    def check_memory(self, machine: str) -> None:
        """There is memory available."""
        status = self._memory()
        if status.available < amount(self.min_available, status.total):
            self.fail(
                f"{written(status.available)} of {written(status.total)} memory are available. The"
                f" probe asks for {self.min_available}. Start fewer workers, or look for a leak."
            )

    def _memory(self) -> Any:
        try:
            import psutil
        except ImportError as error:
            raise self.missing("psutil") from error
        return psutil.virtual_memory()
