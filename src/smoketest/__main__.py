"""``python -m smoketest``: the gate."""

from __future__ import annotations

import sys

from smoketest.delivery import WRONG_USAGE


def start() -> None:
    """Start the gate, or say what it lacks."""
    try:
        from smoketest.gate import program
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        sys.stderr.write(
            "The gate cannot ask anybody: it needs the module 'httpx', which is not installed."
            " Run: python -m pip install 'django-smoketest[gate]'\n"
        )
        sys.exit(WRONG_USAGE)
    program.start()


if __name__ == "__main__":
    start()
