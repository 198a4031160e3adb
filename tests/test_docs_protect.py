"""The page on protection, followed to its end: settings, nginx in front, the gate, curl."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import pytest

from smoketest.gate import options
from tests.projects import Project, Served
from tests.servers import free_port
from tests.test_recipes import blocks, needed

TOKEN = "a-token-from-the-page-0123456789"
SMOKE = """
    from smoketest import SmokeTest

    class ShopTest(SmokeTest):
        def test_it(self):
            pass
"""
PAGE = list(blocks("protect"))
SETTINGS = "\n".join(text for _, text in PAGE if text.startswith("# config/settings.py"))
URL = "https://www.example.com/smoketest/"


def block(language: str, mark: str) -> str:
    """The one block of the page that has ``mark`` in it."""
    [text] = [text for kind, text in PAGE if kind == language and mark in text]
    return text


@dataclass
class Site:
    """The shop behind the nginx of the page, and its server itself."""

    port: int
    server: Served

    def shell(self, script: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
        """Run what the page shows against this site instead of www.example.com."""
        script = script.replace(URL, f"http://127.0.0.1:{self.port}/smoketest/")
        return subprocess.run(
            ["bash", "-euc", script],
            env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "SMOKETEST_TOKEN": token},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def runs(self) -> int:
        return self.server.log().count("1 passed")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    nginx = needed("nginx")
    monkeypatch.setenv("SMOKETEST_TOKENS", f"another-token-0123456789 {TOKEN}")
    project = Project(tmp_path, SETTINGS)
    project.smoke(SMOKE)
    with project.served_by("gunicorn") as server:
        port = free_port()
        (tmp_path / "nginx.conf").write_text(configuration(tmp_path, port, server.port))
        process = subprocess.Popen(
            [nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
            stderr=subprocess.DEVNULL,
        )
        try:
            site = Site(port, server)
            until_up(site)
            yield site
        finally:
            process.terminate()
            process.wait(30)


def configuration(folder: Path, port: int, behind: int) -> str:
    """What the page shows, for callers from this machine, who are strangers here."""
    shown = block("nginx", "is_stranger")
    assert "127.0.0.1   1;" in shown
    shown = shown.replace("127.0.0.1   1;", "").replace("http://app", f"http://127.0.0.1:{behind}")
    shown = shown.replace("server {", f"server {{\n    listen 127.0.0.1:{port};")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    return (
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}\n{shown}\n}}\n"
    )


def until_up(site: Site) -> None:
    patience = monotonic() + 30
    while site.shell(f"curl --silent --output /dev/null {URL}").returncode:
        assert monotonic() < patience, "nginx did not start"
        sleep(0.05)


def test_a_token_passes_the_network_and_the_site_and_nothing_else_does(site: Site) -> None:
    ended = site.shell(block("shell", '$SMOKETEST_TOKEN" https'))
    assert (ended.returncode, ended.stdout.split("\n")[0]) == (0, "PASS")
    assert site.runs() == 1
    asked = block("shell", "Bearer wrong")
    assert site.shell(asked).stdout == "403\n403\n"
    assert site.runs() == 1  # neither caused a run


def test_what_the_network_lets_through_the_site_still_refuses(site: Site) -> None:
    """The rule of nginx only looks for something like a token."""
    stranger = site.server.get("/smoketest/")
    assert stranger[0] == 403
    assert "without credentials" in stranger[1]
    assert site.runs() == 0


def test_curl_as_a_gate_ends_with_the_verdict(site: Site) -> None:
    gate = block("shell", "--fail-with-body")
    assert site.shell(gate).returncode == 0
    refused = site.shell(gate, token="a-token-that-is-old-0123456789")
    assert refused.returncode == 22  # of curl: the status was 400 or more
    assert refused.stdout.startswith("FAIL\n")


def test_the_gate_ends_with_the_verdict(site: Site) -> None:
    line = command().replace("--resolve --expect-nodes 2", "--expect-nodes 1")
    line = line.replace('--expect-release "$RELEASE" --wait 60', "")
    assert site.shell(line).returncode == 0
    refused = site.shell(line, token="a-token-that-is-old-0123456789")
    assert refused.returncode == 1
    assert "a-token" not in refused.stdout + refused.stderr


def command() -> str:
    """The call of the gate on the page, in one line."""
    joined = re.sub(r"\\\n\s*", "", block("shell", "--expect-release"))
    [line] = [line for line in joined.splitlines() if line.startswith("python -m smoketest")]
    return line


def test_the_gate_has_every_option_that_the_page_uses() -> None:
    asked = options.create_parser().parse_args(shlex.split(command())[3:])
    assert (asked.urls, asked.resolve, asked.expect_nodes, asked.wait) == ([URL], True, 2, 60)


def test_a_permission_of_the_page_is_one_that_django_has() -> None:
    """It is that of the shop in the tutorial; here it is looked at as a value only."""
    assert 'SMOKETEST_PERMISSION = "shop.view_product"' in SETTINGS
    namespace: dict[str, object] = {}
    exec(SETTINGS, namespace)
    assert namespace["SMOKETEST_ANONYMOUS"] == "deny"
