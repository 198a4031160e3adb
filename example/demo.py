"""Everything once, from an empty database to a served report: ``python demo.py``.

Only the standard library is used here; the shop itself needs Django,
django-smoketest and what requirements.txt names. The databases are made anew in
a temporary folder, so the demonstration can be repeated, and the server that it
starts is stopped at its end. The exit status is 0 when all of it went as it says.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

HERE = Path(__file__).resolve().parent
TOKEN = "demo-token-of-24-letters"
SECONDS_TO_START = 30


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="smoketest-demo-") as folder:
        shop = environment(Path(folder))
        heading("An example shop: two databases with data from a fixture")
        make_databases(shop)
        print(f"in {folder}, until the end of this demonstration")
        heading("The command")
        expect(0, shop, "python manage.py smoketest")
        heading("The same with one thing broken: the folder with the photos is not mounted")
        broken = shop | {"SHOP_MEDIA_ROOT": "/mnt/not-mounted"}
        expect(
            1, broken, "SHOP_MEDIA_ROOT=/mnt/not-mounted python manage.py smoketest --tag photos"
        )
        heading("A new project without a smoke module: ready-made probes, named in its settings")
        probe_new_project(Path(folder) / "new")
        with served(shop) as url:
            heading("The endpoint, as anybody sees it")
            ask(f"{url}/smoketest/")
            heading("The endpoint, as JSON, for a caller with a token")
            ask(
                f"{url}/smoketest/?test=visits",
                {"Accept": "application/json", "Authorization": f"Bearer {TOKEN}"},
            )


PROBES = """
INSTALLED_APPS += ["smoketest"]
ALLOWED_HOSTS = ["localhost"]
MEDIA_ROOT = BASE_DIR / "media"

SMOKETEST_PROBES = [
    "smoketest.probes.Databases",
    "smoketest.probes.Migrations",
    "smoketest.probes.Caches",
    "smoketest.probes.Admin",
    ("smoketest.probes.Storages", {"aliases": ["default"]}),
    ("smoketest.probes.Pages", {"pages": [("admin:login", 200, "Log in")]}),
    ("smoketest.probes.Disk", {"path": BASE_DIR, "min_free": "1 MB"}),
]
"""


def probe_new_project(folder: Path) -> None:
    """Start a project, name probes in its settings, and run them with and without its tables."""
    folder.mkdir()
    print("$ django-admin startproject mysite .", flush=True)
    run(folder, "-m", "django", "startproject", "mysite", ".")
    print(f"$ cat >> mysite/settings.py{PROBES}", flush=True)
    with (folder / "mysite/settings.py").open("a") as settings:
        settings.write(PROBES)
    (folder / "media").mkdir()
    project = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    expect(1, project, "python manage.py smoketest smoketest.probes.Migrations", folder)
    print("$ python manage.py migrate", flush=True)
    run(folder, "manage.py", "migrate", "--verbosity", "0")
    expect(0, project, "python manage.py smoketest", folder)


def run(folder: Path, *arguments: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True)


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of the shop, with its databases in ``folder``.

    Databases that the caller's own environment names are not touched.
    """
    return dict(os.environ) | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"sqlite:///{folder / 'shop.sqlite3'}",
        "ANALYTICS_DATABASE_URL": f"sqlite:///{folder / 'analytics.sqlite3'}",
        "SMOKETEST_TOKENS": TOKEN,
    }


def make_databases(shop: dict[str, str]) -> None:
    for alias, fixture in (("default", "shop"), ("analytics", "visits")):
        manage(shop, "migrate", "--database", alias, "--verbosity", "0")
        manage(shop, "loaddata", "--database", alias, "--verbosity", "0", fixture)


def manage(shop: dict[str, str], *arguments: str) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=HERE, env=shop, check=True)


def expect(status: int, shop: dict[str, str], line: str, folder: Path = HERE) -> None:
    """Show ``line``, run it, and stop the demonstration where it does not end with ``status``."""
    print(f"$ {line}", flush=True)
    arguments = shlex.split(line.partition("manage.py ")[2])
    command = [sys.executable, "manage.py", *arguments]
    ended = subprocess.run(command, cwd=folder, env=shop, check=False)
    print(f"(exit status {ended.returncode})", flush=True)
    if ended.returncode != status:
        sys.exit(f"demo: {line!r} was expected to end with exit status {status}.")


@contextmanager
def served(shop: dict[str, str]) -> Iterator[str]:
    """Serve the shop on a free port of this machine only, and yield its address."""
    address = f"127.0.0.1:{free_port()}"
    server = subprocess.Popen(
        [sys.executable, "manage.py", "runserver", "--noreload", address],
        cwd=HERE,
        env=shop,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://{address}/", server)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Return when ``url`` answers; stop the demonstration where it never does."""
    patience = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < patience and server.poll() is None:
        try:
            urlopen(url, timeout=5).close()
        except URLError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"demo: the server did not answer at {url} within {SECONDS_TO_START} seconds.")


def ask(url: str, headers: dict[str, str] | None = None) -> None:
    """Show the ``curl`` that asks ``url``, and what is answered; without curl, ask by Python."""
    command = ["curl", "--silent", "--show-error", "--fail-with-body", url]
    for name, value in (headers or {}).items():
        command += ["--header", f"{name}: {value}"]
    print(f"$ {shlex.join(command)}", flush=True)
    if shutil.which("curl"):
        subprocess.run(command, check=True)
    else:
        print("(curl is not installed: Python asks instead)")
        print(fetched(Request(url, headers=headers or {})), end="")
    print(flush=True)


def fetched(request: Request) -> str:
    try:
        with urlopen(request, timeout=60) as response:
            return str(response.read().decode())
    except HTTPError as error:
        sys.exit(f"demo: {request.full_url} answered {error}:\n{error.read().decode()}")


def heading(text: str) -> None:
    print(f"\n=== {text}", flush=True)


if __name__ == "__main__":
    main()
