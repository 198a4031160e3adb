"""A file system is mounted, and answers."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import uuid4

from .subjects import Probe

_MOUNTS = Path("/proc/self/mountinfo")
_stuck: dict[str, threading.Thread] = {}
"""The thread that hangs in each path: no second one is sent after it."""


class Mount(Probe):
    """A path is mounted, can be read, is written to where asked, and is not stale.

    A mount that hangs, as NFS does without its server, is a failure that names it. The
    thread that hangs with it stays until the mount answers; there is never more than
    one for a path. The file that is written is named ``.smoketest-`` and 32 digits, and
    removed; it stays where the mount fails in between.
    """

    abstract = True
    _leaves = "nothing; a file `.smoketest-…` where a writable mount fails in between"
    path: str | os.PathLike[str]
    """The folder."""
    mounted: bool = True
    """Whether it must be a mount point itself, and not a folder of what lies above."""
    file: str = ""
    """A file below it of which a byte is read."""
    writable: bool = False
    """Whether a file is written, read back and removed."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The path."""
        return [os.fspath(cls.path)]

    def check_mount(self, path: str) -> None:
        """It is mounted, and answers."""
        found: list[str] = []
        if not self._answered(path, lambda: found.extend(self._problems(Path(path)))):
            self.fail(
                f"{path} hangs: it has not answered for {self.patience:.1f} s. A network file"
                " system does that while its server is away. Look at the server, then mount it"
                " anew."
            )
        if found:
            self.fail(found[0])

    def _answered(self, path: str, ask: Callable[[], None]) -> bool:
        """Whether ``ask`` ends in time, on a thread that may be left behind."""
        before = _stuck.get(path)
        if before is not None and before.is_alive():
            return False
        _stuck[path] = thread = threading.Thread(target=ask, name=f"smoketest {path}", daemon=True)
        thread.start()
        thread.join(self.patience)
        return not thread.is_alive()

    def _problems(self, path: Path) -> Iterable[str]:
        """Yield what is wrong; on the other thread, where nothing may be raised."""
        if self.mounted and not _is_mounted(path):
            yield (
                f"{path} is not mounted. What is written there would fill the disk below it."
                " Mount it, and look at /etc/fstab."
            )
            return
        try:
            self._use(path)
        except (OSError, ValueError) as error:
            yield (
                f"{path} cannot be used: {type(error).__name__}: {error}. The mount is stale,"
                " read-only or somebody else's. Look at its options and permissions."
            )

    def _use(self, path: Path) -> None:
        os.statvfs(path)
        with os.scandir(path) as entries:
            next(entries, None)
        if self.file:
            with (path / self.file).open("rb") as file:
                file.read(1)
        if self.writable:
            self._write(path / f".smoketest-{uuid4().hex}")

    def _write(self, file: Path) -> None:
        content = uuid4().hex
        try:
            file.write_text(content)
            if file.read_text() != content:
                raise ValueError("a file was read back with another content")
        finally:
            file.unlink(missing_ok=True)


def _is_mounted(path: Path) -> bool:
    """Whether it is a mount point; bind mounts of the same file system are known on Linux."""
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return os.path.ismount(path)
    points = {re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), line.split()[4]) for line in lines}
    return os.path.realpath(path) in points
