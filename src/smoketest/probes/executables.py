"""The programs that the site calls are installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Mapping

from .subjects import Probe, listed


class Executables(Probe):
    """Each program is on the ``PATH``, at its least version where there is one.

    Only where a version is asked for is the program run, with :attr:`version_option`.
    """

    abstract = True
    _leaves = "what a program leaves that prints its version"
    programs: Collection[str] | Mapping[str, str] = ()
    """Names; or names with the least version: ``{"ffmpeg": "5.1", "git": ""}``."""
    version_option: str = "--version"
    """What makes a program print its version."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The names."""
        return listed(cls.programs, "programs")

    def check_program(self, name: str) -> None:
        """The program is there, and new enough."""
        path = shutil.which(name)
        if path is None:
            self.fail(
                f"There is no program {name!r} on the PATH of this process. The code that calls it"
                " will fail. Install it, or correct PATH where the process is started."
            )
        least = self.programs[name] if isinstance(self.programs, Mapping) else ""
        if least:
            self._compare(path, name, least)

    def _compare(self, path: str, name: str, least: str) -> None:
        said = self._version(path)
        version = re.search(r"\d+(\.\d+)+|\d+", said)
        if version is None:
            self.fail(
                f"{path} {self.version_option} printed no version, but {said[:100]!r}. So it cannot"
                " be compared. Set version_option to what makes it print one."
            )
        if _numbers(version[0]) < _numbers(least):
            self.fail(
                f"{name} is version {version[0]}. The probe asks for {least} or later."
                f" Install it; {path} is the one that is found."
            )

    def _version(self, path: str) -> str:
        with self.explained(
            f"{path} could not be asked for its version",
            "Run it by hand, and look at its libraries and permissions.",
            (OSError, subprocess.SubprocessError),
        ):
            done = subprocess.run(
                [path, self.version_option],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=self.patience,
                check=False,
            )
        return done.stdout


def _numbers(version: str) -> list[int]:
    """Return the version to compare by: 5.10 is more than 5.9, and 5 is as much as 5.0."""
    numbers = [int(number) for number in re.findall(r"\d+", version)]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
