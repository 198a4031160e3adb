"""The files that a page shows, and a stage to run them on.

The platforms cannot be had where tests run: there is no GitHub, no cluster, no Heroku.
So the programs that speak with them are stand-ins on ``PATH``, which note how they were
called and end as a test wants. ``ssh`` is one as well, but it runs the remote command on
this machine, in a folder for each host. What a stage can show is what a recipe *does*:
which calls it makes, which it leaves out, what it says and how it ends. That a platform
understands those calls, only the platform can show.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SHEBANG = re.compile(r"#!.*\n")
NAME = re.compile(r"# ([\w./-]+)(?:[ :].*)?\n")
FENCE = re.compile(r"^```(shell|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

GATE = """
case "$*" in
    "-m smoketest --help") exit "${HELP:-0}" ;;
    "-m smoketest http"*)
        [ "$SMOKETEST_TOKEN" = "$TOKEN" ] || { echo "no token" >&2; exit 99; }
        # Before the deploy, after it, and after the rollback.
        case $(grep -c -- '-m smoketest http' "$CALLS") in
            1) exit "${GATE_BEFORE:-0}" ;;
            2) exit "${GATE:-0}" ;;
            *) exit "${GATE_AFTERWARDS:-0}" ;;
        esac ;;
    "manage.py smoketest --workers")
        case ${FAILING_WORKERS:-none} in "$(cat RELEASE 2> /dev/null)") exit 1 ;; esac
        exit "${WORKERS:-0}" ;;
    "manage.py smoketest "*) exit "${COMMAND:-0}" ;;
esac
"""

# What is sent to a host is what a real ssh sends: its words, with a space between them.
SSH = """
[ -z "${SSH:-}" ] || case "$*" in *"$SSH"*) exit 255 ;; esac
root=$SITES/${1#deploy@}
shift
mkdir -p "$root/srv/site"
there() { sed "s|/srv/site|$root/srv/site|g"; }
command=$(printf '%s' "$*" | there)
case "$*" in
    "sh -s"*) there | sh -c "$command" ;;
    *) sh -c "$command" ;;
esac
"""

VENV = 'mkdir -p .venv/bin && cp "$STANDINS/python" .venv/bin/python'


def examples(page: Path, title: str) -> Iterator[tuple[str, str]]:
    """Yield language and text of each shell script and YAML file of a section of a page."""
    for part in page.read_text().split("\n## ")[1:]:
        heading, _, rest = part.partition("\n")
        if heading == title:
            yield from FENCE.findall(rest)


def shown(page: Path, title: str) -> dict[str, str]:
    """Return the files that a section shows, by the names in their first lines."""
    files = {}
    for _, text in examples(page, title):
        if match := NAME.match(SHEBANG.sub("", text, count=1)):
            files[match[1]] = text
    return files


@dataclass
class Stage:
    """A folder with the files of a recipe, and stand-ins for the programs that they call."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in ("bin", "home", "sites", "work"):
            (self.root / folder).mkdir()
        (self.root / "calls").touch()
        self.stand_in("python", GATE)
        self.stand_in("python3", VENV)
        self.stand_in("ssh", SSH)
        self.stand_in("sudo")
        self.stand_in("sleep")

    @property
    def folder(self) -> Path:
        """Where the scripts are run."""
        return self.root / "work"

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.root / "home"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "STANDINS": str(self.root / "bin"),
            "SITES": str(self.root / "sites"),
            "CALLS": str(self.root / "calls"),
            "TOKEN": "a-token-that-is-no-argument",
            "SMOKETEST_TOKEN": "a-token-that-is-no-argument",
            **self.variables,
        }

    def stand_in(self, name: str, script: str = "") -> None:
        """Put a program on ``PATH`` that notes its call and then runs ``script``."""
        self._executable(
            self.root / "bin" / name,
            f'#!/bin/bash\n{{ printf \'%q \' {name} "$@"; echo; }} >> "$CALLS"\n{script}\n',
        )

    def put(self, files: dict[str, str]) -> None:
        """Write files into the folder of the scripts, each of them executable."""
        for name, text in files.items():
            self._executable(self.folder / name, text)

    def _executable(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder; ``variables`` are for this time only."""
        return subprocess.run(
            words,
            cwd=self.folder,
            env={**self.environment(), **variables},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def calls(self, *beginning: str) -> list[list[str]]:
        """Return the calls so far whose first words are ``beginning``."""
        lines = (self.root / "calls").read_text().splitlines()
        words = (shlex.split(line) for line in lines)
        return [call for call in words if tuple(call[: len(beginning)]) == beginning]

    def git(self, *words: str) -> str:
        """Run the real git in the folder, and return what it prints."""
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        done = self.run("git", *identity, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, text: str) -> str:
        """Commit a project of which ``text`` is a part, and return the commit's id."""
        self.put({"manage.py": f"# {text}\n", "requirements.txt": "django-smoketest[gate]\n"})
        if not (self.folder / ".git").exists():
            self.git("init", "--quiet")
        self.git("add", "manage.py", "requirements.txt")
        self.git("commit", "--quiet", "--message", text)
        return self.git("rev-parse", "HEAD")

    def serving(self) -> set[str]:
        """Return the releases that the hosts serve, for the recipe with ssh."""
        return {link.readlink().name for link in self.root.glob("sites/*/srv/site/current")}
