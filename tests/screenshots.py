"""Makes the pictures of the page for the README and the documentation.

``python -m tests.screenshots`` (``make screenshots``) runs the example shop, well and
then with its photos missing, and as a fleet of nodes that differ, and writes
``docs/images/page-….png``. What differs from machine to machine, names and paths, is
replaced on its way to the browser.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tests import browsers
from tests.projects import REPOSITORY
from tests.servers import free_port
from tests.shop import EXAMPLE, Shop

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

IMAGES = REPOSITORY / "docs" / "images"
TOKEN = {"Authorization": f"Bearer {browsers.TOKEN}"}
LARGEST = 150_000
"""Bytes of one picture."""

WIDE: dict[str, Any] = {"viewport": {"width": 1000, "height": 860}}
NARROW: dict[str, Any] = {"viewport": {"width": 375, "height": 760}, "device_scale_factor": 1.5}
PHOTOS = EXAMPLE / "media"
NO_PHOTOS = "/srv/shop/media"
PASSES = 12
"""Runs that pass before a picture is taken, so that there is a strip of recent runs."""
PICTURES: dict[str, tuple[int, dict[str, Any]]] = {
    "page-pass": (0, WIDE),
    "page-fail": (3, WIDE),
    "page-dark": (3, WIDE | {"color_scheme": "dark"}),
    "page-narrow": (3, NARROW),
}
"""For each picture how many runs have failed before it, and how the page is looked at."""


def main() -> None:
    """Make all of them."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, browsers.chromium() as browser:
        folder = Path(name)
        shop = Shop.on_sqlite(folder, RELEASE="9f1c2ab")
        for picture, (failures, options) in PICTURES.items():
            media = folder / "media"
            with browsers.served(shop, folder / "log", SHOP_MEDIA_ROOT=str(media)) as server:
                url = f"http://127.0.0.1:{server.port}/smoketest/"
                media.symlink_to(PHOTOS)
                run(url, PASSES)
                if failures:
                    media.unlink()
                run(url, failures)
                take(browser, url, IMAGES / f"{picture}.png", options, {str(media): NO_PHOTOS})
                media.unlink(missing_ok=True)
        page = fleet(shop, folder)
        take(browser, page.as_uri(), IMAGES / "page-fleet.png", WIDE)


def run(url: str, times: int) -> None:
    """Run the tests; what comes of them is shown later."""
    for _ in range(times):
        request = urllib.request.Request(url, headers=TOKEN)
        with suppress(urllib.error.HTTPError):  # as a run that fails answers
            urllib.request.urlopen(request).close()


def fleet(shop: Shop, folder: Path) -> Path:
    """Ask four nodes by the gate, of which one is broken, one old and one gone."""
    nodes = [
        {"SHOP_MEDIA_ROOT": str(PHOTOS)},
        {"SHOP_MEDIA_ROOT": NO_PHOTOS},
        {"SHOP_MEDIA_ROOT": str(PHOTOS), "RELEASE": "77e01d0"},
    ]
    with ExitStack() as stack:
        ports = [
            stack.enter_context(browsers.served(shop, folder / "log", **node)).port
            for node in nodes
        ]
        ports.append(free_port())
        urls = {f"http://127.0.0.1:{port}/smoketest/": port for port in ports}
        page = folder / "fleet.html"
        subprocess.run(
            [sys.executable, "-m", "smoketest", *urls, "--output", f"html:{page}"],
            env=shop.environment | {"SMOKETEST_TOKEN": browsers.TOKEN},
            check=False,
            capture_output=True,
        )
    text = page.read_text()
    text = text.replace(f"<small>{socket.gethostname()}</small>", "")  # the same for all of them
    for number, port in enumerate(ports, 1):
        text = text.replace(f"127.0.0.1:{port}", f"web-{number}.internal")
    page.write_text(without_this_machine(text))
    return page


def take(
    browser: Browser,
    url: str,
    file: Path,
    options: dict[str, Any],
    names: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write a picture of what is at ``url``, with other names for ``names``."""
    context = browser.new_context(extra_http_headers=TOKEN, **options)
    page = context.new_page()
    page.route("http://**/*", lambda route: without_names(route, names))
    page.goto(url)
    page.screenshot(path=file)
    context.close()
    size = file.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{file} has {size} bytes, more than {LARGEST}.")
    print(f"{file.relative_to(REPOSITORY)}: {size} bytes")


def without_names(route: Route, names: Mapping[str, str]) -> None:
    """Fetch the page, and replace the names and paths of this machine in it."""
    response = route.fetch()
    body = response.text()
    for name, other in names.items():
        body = body.replace(name, other)
    route.fulfill(response=response, body=without_this_machine(body))


def without_this_machine(page: str) -> str:
    """Return ``page`` with names and paths that any machine might have."""
    page = page.replace(str(EXAMPLE), "/srv/shop")
    return page.replace(f">{socket.gethostname()}<", ">web-1<")


if __name__ == "__main__":
    main()
