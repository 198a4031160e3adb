"""A browser for the tests: Debian's Chromium without a window, driven by Playwright.

It looks up nothing and updates nothing: the only host that it asks is the one that a
test serves.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tests.projects import Served
from tests.servers import free_port
from tests.shop import EXAMPLE, Shop

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TOKEN = "a-token-for-the-browser-0123"
SERVER = "gunicorn --worker-class gthread --threads 8 --no-control-socket --log-level warning"


class Unavailable(Exception):
    """There is no browser; the message says what to install."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser, with a profile of its own that is empty. Raises Unavailable."""
    binary = shutil.which("chromium")
    if binary is None:
        raise Unavailable("Chromium is not installed; 'apt-get install chromium' has it")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Unavailable(
            "Playwright is not installed; 'pip install --group browser' has it"
        ) from None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served(shop: Shop, log: Path, **environment: str) -> Iterator[Served]:
    """Serve the example shop as one would in production, until the block ends."""
    port = free_port()
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *SERVER.split(), "--bind", f"127.0.0.1:{port}", "config.wsgi"],
            cwd=EXAMPLE,
            env=shop.environment | {"SMOKETEST_TOKENS": TOKEN} | environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    server = Served(process, port, log)
    try:
        server.wait_until_up()
        yield server
    finally:
        server.kill()


def violations(page: Page) -> list[str]:
    """Return what axe finds wrong with the page as it is, as one line for each rule."""
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
    # Of WCAG 2.2, and not among the rules that are on: what is clicked has 24 pixels.
    options = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
    found: dict[str, Any] = page.evaluate("options => axe.run(options)", options)
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found["violations"]
    ]


def is_required() -> bool:
    """Whether a browser that cannot be had is a failure."""
    return os.environ.get("CI") == "true"
