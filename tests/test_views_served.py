"""The endpoint behind real servers: hosts, HTTPS, many callers, and other pages meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tests.projects import Project, Served
from tests.test_callers import PATIENCE, SMOKE, until_there

SITE = """
    MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        *MIDDLEWARE,
        "django.middleware.common.CommonMiddleware",
    ]
    ALLOWED_HOSTS = ["www.example.com"]
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
"""
REDIRECTING = SITE + "    SECURE_SSL_REDIRECT = True\n"
EXEMPT = REDIRECTING + '    SECURE_REDIRECT_EXEMPT = [r"^smoketest/"]\n'
CLIENT = """
    from django.conf import settings
    from smoketest import SmokeTest

    class ClientTest(SmokeTest):
        def test_the_client_is_admitted_and_not_redirected(self):
            response = self.client.get("/nowhere/")
            self.assertEqual(response.status_code, 404)
            self.assertEqual(response.wsgi_request.get_host(), "www.example.com")
            self.assertEqual(response.wsgi_request.is_secure(), settings.SECURE_SSL_REDIRECT)
"""
HOST = {"Host": "www.example.com"}
FORWARDED = HOST | {"X-Forwarded-Proto": "https"}


def ask(server: Served, headers: Mapping[str, str]) -> tuple[HTTPResponse, str]:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/smoketest/", headers=dict(headers))
        response = connection.getresponse()
        return response, response.read().decode()


@pytest.mark.parametrize("name", ["gunicorn", "uvicorn"])
def test_a_host_that_the_site_does_not_admit_is_refused_by_the_site(
    name: str, tmp_path: Path
) -> None:
    project = Project(tmp_path, SITE)
    project.smoke(CLIENT)
    with project.served_by(name) as server:
        refused, _ = ask(server, {"Host": "10.0.0.7"})
        admitted, report = ask(server, HOST)
    assert (refused.status, admitted.status) == (400, 200)
    assert report.startswith("PASS\n")
    assert server.log().count("1 passed") == 1  # the refused one ran nothing


@pytest.mark.parametrize("name", ["gunicorn", "uvicorn"])
def test_plain_http_is_redirected_and_runs_nothing_where_the_site_wants_https(
    name: str, tmp_path: Path
) -> None:
    project = Project(tmp_path, REDIRECTING)
    project.smoke(CLIENT)
    with project.served_by(name) as server:
        redirected, _ = ask(server, HOST)
        forwarded, report = ask(server, FORWARDED)
    assert redirected.status == 301
    assert redirected.headers["Location"] == "https://www.example.com/smoketest/"
    assert (forwarded.status, report.splitlines()[0]) == (200, "PASS")
    assert server.log().count("1 passed") == 1


def test_a_path_that_is_exempt_answers_plain_http_and_its_tests_still_use_https(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path, EXEMPT)
    project.smoke(CLIENT)
    with project.served_by("gunicorn") as server:
        response, report = ask(server, HOST)
    assert (response.status, report.splitlines()[0]) == (200, "PASS")


def test_a_hundred_callers_at_once_cause_one_run(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.smoke(SMOKE.replace("_flight.awaited:", "_flight.awaited == 99:"))
    with project.served_by("uvicorn") as server, ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(server.get, "/smoketest/") for _ in range(100)]
        until_there(tmp_path / "joined")
        (tmp_path / "may_end").touch()
        found = [answer.result(PATIENCE) for answer in answers]
    assert {status for status, _ in found} == {200}
    assert (tmp_path / "runs").read_text() == "a run\n"
    assert sum("callers share it" in body for _, body in found) == 99


@pytest.mark.parametrize("name", ["gunicorn", "uvicorn"])
def test_while_a_run_is_under_way_other_pages_are_answered(name: str, tmp_path: Path) -> None:
    project = Project(tmp_path, 'ROOT_URLCONF = "pages"')
    project.smoke(SMOKE)
    (tmp_path / "pages.py").write_text(PAGES)
    with project.served_by(name) as server, ThreadPoolExecutor(1) as pool:
        run = pool.submit(server.get, "/smoketest/")
        until_there(tmp_path / "runs")
        pages = [server.get(path) for path in ("/sync/", "/async/", "/sync/", "/async/")]
        assert not run.done()
        (tmp_path / "may_end").touch()
        assert run.result(PATIENCE)[0] == 200
    assert pages == [(200, "sync"), (200, "async")] * 2


PAGES = """
from django.http import HttpResponse
from django.urls import include, path


def sync(request):
    return HttpResponse("sync")


async def asynchronous(request):
    return HttpResponse("async")


urlpatterns = [
    path("smoketest/", include("smoketest.urls")),
    path("sync/", sync),
    path("async/", asynchronous),
]
"""
