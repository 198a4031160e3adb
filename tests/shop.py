"""The example shop with databases of its own, started as a user starts it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent.parent / "example"


class Shop:
    """The shop with databases of its own."""

    def __init__(self, databases: Mapping[str, str]) -> None:
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DJANGO_", "SHOP_", "SMOKETEST_"))
        } | dict(databases)

    def manage(self, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py`` with the arguments in ``line``."""
        return subprocess.run(
            [sys.executable, "manage.py", *shlex.split(line)],
            check=False,
            cwd=EXAMPLE,
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )

    def set_up(self) -> None:
        """Make tables and load the fixtures."""
        for alias, fixture in (("default", "shop"), ("analytics", "visits")):
            for line in (f"migrate --database {alias}", f"loaddata --database {alias} {fixture}"):
                ended = self.manage(f"{line} --verbosity 0")
                assert ended.returncode == 0, ended.stderr

    @classmethod
    def on_sqlite(cls, folder: Path, **environment: str) -> Shop:
        """Return a shop that is set up, with both databases in ``folder``."""
        names = {"DATABASE_URL": "shop", "ANALYTICS_DATABASE_URL": "analytics"}
        files = {key: f"sqlite:///{folder / name}.sqlite3" for key, name in names.items()}
        shop = cls(files | environment)
        shop.set_up()
        return shop
