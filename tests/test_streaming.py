"""``ndjson`` over HTTP: a line as each test ends, also through real servers to real clients."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from textwrap import dedent
from time import monotonic
from typing import Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings

from smoketest import sharing
from smoketest.results import Outcome, Report, TestResult
from smoketest.runner import Stopped
from smoketest.sharing import Sharing
from smoketest.streaming import AsyncLines, Lines, Stream
from tests.conftest import MakeApp, Outside

PATIENCE = 60.0
"""Seconds."""

URL = "/smoketest/?format=ndjson"
TOKEN = "a-token-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
SECRET = "a-secret-of-the-settings-0123456789"


def result(number: int, outcome: Outcome = Outcome.PASSED, **values: Any) -> TestResult:
    return TestResult(id=f"shop.smoke.T.test_{number}", outcome=outcome, **values)


def report(*results: TestResult) -> Report:
    return Report.from_results(results, selected=len(results))


# -- a stream by itself


def written(end: Report | BaseException) -> str:
    return f"end {end.status}\n" if isinstance(end, Report) else f"end {end!r}\n"


def stream(is_awaited: Callable[[], bool] = lambda: False) -> Stream:
    return Stream(lambda one: f"{one.id[-1]}\n", written, is_awaited)


class Run:
    """A run of three tests that ends one each time that it is let."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.next = threading.Semaphore(0)
        self.over = threading.Event()
        self.seen: list[str] = []

    def __call__(self) -> Report:
        try:
            return self._run()
        except BaseException as error:
            self.seen.append(type(error).__name__)
            raise
        finally:
            self.over.set()

    def _run(self) -> Report:
        self.stream.on_start(["1", "2", "3"])
        try:
            for number in (1, 2, 3):
                assert self.next.acquire(timeout=PATIENCE)
                self.seen.append(str(number))
                self.stream.on_result(result(number))
        except Stopped:
            self.stream.on_result(result(9))  # what was cut off
        self.stream.check()
        return report(result(1))


def test_each_line_is_there_before_the_next_test_ends() -> None:
    one = stream()
    run = Run(one)
    assert one.begin(run) is None
    lines = iter(Lines(one))
    for number in "123":
        run.next.release()
        assert next(lines) == f"{number}\n"
    assert list(lines) == ["end PASS\n"]


def test_each_line_is_there_before_the_next_test_ends_in_an_event_loop() -> None:
    one = stream()
    run = Run(one)
    one.begin(run)

    async def read() -> list[str]:
        lines: AsyncIterator[str] = aiter(AsyncLines(one))
        got = []
        for _ in "123":
            run.next.release()
            got.append(await anext(lines))
        return got + [line async for line in lines]

    assert asyncio.run(read()) == ["1\n", "2\n", "3\n", "end PASS\n"]


@pytest.mark.parametrize("kind", [Lines, AsyncLines])
def test_a_reader_who_goes_stops_the_run_at_the_next_test(kind: type) -> None:
    one = stream()
    run = Run(one)
    one.begin(run)
    kind(one).close()
    run.next.release(3)
    assert run.over.wait(PATIENCE)
    assert run.seen == ["1", "Abandoned"]


def test_a_reader_who_goes_does_not_stop_what_another_waits_for() -> None:
    one = stream(is_awaited=lambda: True)
    run = Run(one)
    one.begin(run)
    Lines(one).close()
    run.next.release(3)
    assert run.over.wait(PATIENCE)
    assert run.seen == ["1", "2", "3"]


def test_a_reader_whose_loop_is_closed_does_no_harm() -> None:
    one = stream(is_awaited=lambda: True)
    run = Run(one)
    one.begin(run)

    async def read_one() -> None:
        run.next.release()
        await anext(aiter(AsyncLines(one)))

    asyncio.run(read_one())
    run.next.release(2)
    assert run.over.wait(PATIENCE)
    assert run.seen == ["1", "2", "3"]


def test_what_goes_wrong_before_the_tests_is_raised_and_later_is_the_last_line() -> None:
    def early() -> Report:
        raise ValueError("early")

    one = stream()
    with pytest.raises(ValueError, match="early"):
        one.begin(early)

    other = stream()

    def late() -> Report:
        other.on_start(["1"])
        raise SystemExit(1)

    assert other.begin(late) is None
    assert list(other.lines()) == ["end SystemExit(1)\n"]


def test_a_report_of_another_caller_is_returned_whole() -> None:
    shared = report(result(1))
    assert stream().begin(lambda: shared) is shared


def test_a_run_is_awaited_while_somebody_else_waits_for_the_same() -> None:
    turns = Sharing()
    begun, go_on = threading.Event(), threading.Event()
    answers: list[bool] = []

    def run(seconds: float) -> Report:
        begun.set()
        assert go_on.wait(PATIENCE)
        answers.append(turns.is_awaited("key"))
        return report(result(1))

    def call(key: str) -> threading.Thread:
        thread = threading.Thread(target=turns.shared_run, args=(key, run), kwargs={"deadline": 60})
        thread.start()
        return thread

    first = call("key")
    assert begun.wait(PATIENCE)
    assert not turns.is_awaited("key")
    other = call("other")
    joined = call("key")
    until = monotonic() + PATIENCE
    while not turns.is_awaited("key") and monotonic() < until:
        begun.wait(0.01)
    assert not turns.is_awaited("other")
    go_on.set()
    for thread in (first, other, joined):
        thread.join(PATIENCE)
    assert answers[0] is True
    assert not turns.is_awaited("key")


# -- through the view

SMOKE = f"""
    import threading
    from smoketest import SmokeTest
    go_on = threading.Event()

    class Shop(SmokeTest):
        def test_1(self): pass
        def test_2(self):
            go_on.wait(60)
            self.fail("the key is {SECRET}")
"""


@pytest.fixture
def shop(make_app: MakeApp) -> Iterator[None]:
    with override_settings(SMOKETEST_TOKENS=[TOKEN], SHOP_API_KEY=SECRET, SMOKETEST_PARALLEL=1):
        make_app("shop", {"smoke.py": SMOKE})
        yield


def shop_module() -> Any:
    return importlib.import_module("shop.smoke")


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def read(response: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.getvalue().splitlines()]


@pytest.mark.usefixtures("shop", "sqlite")
@pytest.mark.parametrize("middleware", [[], ["django.middleware.gzip.GZipMiddleware"]])
def test_the_first_line_comes_before_the_last_test_ends(
    client: Client, middleware: list[str]
) -> None:
    with override_settings(MIDDLEWARE=middleware):
        response = client.get(URL, headers={"Accept-Encoding": "gzip", **BEARER})
    assert isinstance(response, StreamingHttpResponse)
    lines = map(json.loads, response)
    assert next(lines)["id"] == "shop.smoke.Shop.test_1"
    shop_module().go_on.set()
    second, end = lines
    assert (second["outcome"], end["status"], end["tests_failed"]) == ("failed", "FAIL", 1)
    assert response.status_code == 200
    assert response["X-Accel-Buffering"] == "no"
    assert response["Cache-Control"] == "no-store, private"
    assert response["Content-Type"] == "application/x-ndjson; charset=utf-8"


async def run_async(seen: list[dict[str, Any]]) -> Any:
    response: Any = await AsyncClient(raise_request_exception=False).get(URL)
    async for line in response:
        seen.append(json.loads(line))
        shop_module().go_on.set()
    return response


@pytest.mark.usefixtures("shop", "sqlite")
def test_it_streams_under_asgi() -> None:
    seen: list[dict[str, Any]] = []
    response = asyncio.run(run_async(seen))
    assert response.is_async
    assert [one.get("id", "")[-6:] for one in seen] == ["test_1", "test_2", ""]


@pytest.mark.usefixtures("shop", "sqlite")
@pytest.mark.parametrize(
    ("anonymous", "headers", "shown"),
    [
        ("summary", BEARER, ["passed", "failed", "the key is ****", "FAIL"]),
        ("summary", {}, ["passed", "failed", "", "FAIL"]),
        ("verdict", {}, ["FAIL"]),
        ("details", {}, ["passed", "failed", "the key is ****", "FAIL"]),
    ],
)
def test_each_line_has_what_the_caller_may_see_and_no_secret(
    client: Client, anonymous: str, headers: dict[str, str], shown: list[str]
) -> None:
    with override_settings(SMOKETEST_ANONYMOUS=anonymous):
        response = client.get(URL, headers=headers)
    shop_module().go_on.set()
    *tests, end = read(response)
    found = [one["outcome"] for one in tests]
    found += [
        one["message"].replace("*" * 20, "*" * 4) for one in tests if one["outcome"] == "failed"
    ]
    assert [*found, end["status"]] == shown
    if anonymous == "verdict":
        assert end == {"status": "FAIL"}


@pytest.mark.usefixtures("shop", "sqlite")
@pytest.mark.parametrize("anonymous", ["summary", "verdict"])
def test_what_begins_is_told_to_who_asks_for_it_and_may_see_names(
    client: Client, anonymous: str
) -> None:
    accept = {"Accept": "application/vnd.django-smoketest.progress+x-ndjson"}
    ids = ["shop.smoke.Shop.test_1", "shop.smoke.Shop.test_2"]
    with override_settings(SMOKETEST_ANONYMOUS=anonymous):
        response = client.get(URL, headers=accept)
    assert response["Content-Type"] == f"{accept['Accept']}; charset=utf-8"
    shop_module().go_on.set()
    *lines, end = read(response)
    told = [one.get("selected") or one.get("begun") or one["outcome"] for one in lines]
    if anonymous == "verdict":
        assert (told, end) == ([], {"status": "FAIL"})
    else:
        # A second test may begin before the result of the first is on its way.
        assert (told[0], told[-1], len(told)) == (ids, "failed", 5)
        assert told.index(ids[0]) < told.index("passed")
        assert told.index(ids[0]) < told.index(ids[1])


@pytest.mark.usefixtures("shop", "sqlite")
@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("&tag=nothing", {}, 400),
        ("&test=shpo", {}, 400),
        ("", {"Authorization": "Bearer wrong"}, 403),
    ],
)
def test_what_is_wrong_before_the_tests_has_its_status(
    client: Client, query: str, headers: dict[str, str], status: int
) -> None:
    response = client.get(f"{URL}{query}", headers=headers)
    assert response.status_code == status
    assert isinstance(response, HttpResponse)


@pytest.mark.usefixtures("shop", "sqlite")
def test_head_runs_and_has_no_body(client: Client) -> None:
    response = client.head(f"{URL}&k=test_1")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.usefixtures("shop")
@pytest.mark.django_db
def test_inside_a_projects_own_test_the_report_comes_whole(client: Client) -> None:
    response = client.get(f"{URL}&k=test_1")
    assert isinstance(response, HttpResponse)
    first, end = read(response)
    assert (first["outcome"], end["status"]) == ("passed", "PASS")


@pytest.mark.usefixtures("shop", "sqlite")
def test_a_second_caller_of_the_same_run_gets_all_lines_at_its_end(client: Client) -> None:
    first = client.get(URL)
    answers: list[Any] = []
    second = threading.Thread(target=lambda: answers.append(Client().get(URL)))
    second.start()
    until = monotonic() + PATIENCE
    while not sharing._sharing._flight.awaited and monotonic() < until:  # type: ignore[union-attr]
        second.join(0.01)
    first.close()  # goes away, but is not the only one
    shop_module().go_on.set()
    second.join(PATIENCE)
    (answer,) = answers
    assert isinstance(answer, HttpResponse)
    assert [one.get("outcome", "end") for one in read(answer)] == ["passed", "failed", "end"]


@pytest.mark.usefixtures("shop", "sqlite")
def test_a_run_that_was_stopped_is_logged_and_is_no_report_for_later_callers(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "smoketest"), override_settings(SMOKETEST_CACHE_SECONDS=60):
        first = client.get(f"{URL}&k=test_2&k=test_1")
        first.close()
        shop_module().go_on.set()
        until = monotonic() + PATIENCE
        while sharing._sharing._flight is not None and monotonic() < until:
            threading.Event().wait(0.01)
        again = client.get("/smoketest/?format=json&k=test_2&k=test_1").json()
    told = [record.getMessage() for record in caplog.records]
    assert any("went away" in message for message in told)
    assert (again["tests_run"], again["cached"]) == (2, False)


@pytest.mark.usefixtures("shop", "sqlite")
@pytest.mark.parametrize(
    ("error", "logged"), [(RuntimeError("the engine is broken"), True), (sharing.Busy(3), False)]
)
def test_what_goes_wrong_around_the_tests_is_the_last_line(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    logged: bool,
) -> None:
    def run(*args: Any, on_start: Callable[[list[str]], None], **values: Any) -> Report:
        on_start(["1"])
        raise error

    monkeypatch.setattr("smoketest.runner.run", run)
    (end,) = read(client.get(URL, headers=BEARER))
    assert (end["status"], end["errored_tests"]) == ("FAIL", ["smoketest"])
    assert ("could not be run or reported" in caplog.text) is logged


# -- through real servers

SERVED = """
    import os, threading
    from pathlib import Path
    from smoketest import SmokeTest
    from tests.testapp.models import Item

    here = Path(__file__).parent

    class Shop(SmokeTest):
        def test_01_passes(self):
            Item.objects.create(name="smoke")

        def test_02_waits(self):
            Item.objects.create(name="smoke")
            while not (here / "go_on").exists():
                threading.Event().wait(0.01)

    def paced(number):
        def test(self):
            Item.objects.create(name="smoke")
            with (here / "ran").open("a") as file:
                file.write(f"{number}\\n")
            threading.Event().wait(0.05)
        return test

    for number in range(3, 100):
        setattr(Shop, f"test_{number:02}_paced", paced(number))
"""
SETTINGS = """
    from tests.settings import *
    INSTALLED_APPS = [*INSTALLED_APPS, "shop"]
    MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware", *MIDDLEWARE]
    ALLOWED_HOSTS = ["127.0.0.1"]
    SMOKETEST_PARALLEL = 1
    LOGGING = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"smoketest": {"handlers": ["console"], "level": "INFO"}},
    }
"""
APPLICATIONS = """
    import os
    os.environ["DJANGO_SETTINGS_MODULE"] = "served"
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    wsgi, asgi = get_wsgi_application(), get_asgi_application()
"""
GUNICORN = ["gunicorn", "applications:wsgi", "--bind", "127.0.0.1:{port}"]
SERVERS = {
    "gunicorn-sync": [*GUNICORN, "--worker-class", "sync"],
    "gunicorn-gthread": [*GUNICORN, "--worker-class", "gthread", "--threads", "4"],
    "uvicorn": ["uvicorn", "applications:asgi", "--port", "{port}"],
}


class Server:
    """A server of the site on a port of its own."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        path = os.pathsep.join([str(folder), str(Path(__file__).parent.parent)])
        if before := os.environ.get("PYTHONPATH"):
            path += os.pathsep + before
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *(part.format(port=self.port) for part in command)],
            env={**os.environ, "PYTHONPATH": path, "HOME": str(folder)},
            cwd=folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def get(self, url: str = URL) -> http.client.HTTPResponse:
        until = monotonic() + PATIENCE
        while True:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            try:
                self.connection.request("GET", url, headers={"Accept-Encoding": "gzip"})
                return self.connection.getresponse()
            except ConnectionRefusedError:
                assert self.process.poll() is None, self.log()
                assert monotonic() < until, self.log()
                threading.Event().wait(0.05)

    def wait_for(self, text: str) -> None:
        until = monotonic() + PATIENCE
        while text not in self.log():
            assert monotonic() < until, self.log()
            threading.Event().wait(0.05)

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._log.close()


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, sqlite: object, tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "shop").mkdir()
    files = {"shop/__init__.py": "", "shop/smoke.py": SERVED}
    files |= {"served.py": SETTINGS, "applications.py": APPLICATIONS}
    for name, text in files.items():
        (tmp_path / name).write_text(dedent(text))
    running = Server(tmp_path, SERVERS[request.param])
    yield running
    running.stop()


def test_a_client_gets_each_line_when_its_test_has_ended(server: Server, outside: Outside) -> None:
    response = server.get(f"{URL}&k=test_01&k=test_02")
    assert response.status == 200
    assert response.headers["Content-Encoding"] == "identity"
    assert json.loads(response.readline())["id"] == "shop.smoke.Shop.test_01_passes"
    (server.folder / "shop" / "go_on").touch()
    second, end = map(json.loads, response.read().splitlines())
    assert (second["outcome"], end["status"]) == ("passed", "PASS")
    assert outside("SELECT name FROM testapp_item") == []


def test_a_client_that_goes_away_stops_the_run(server: Server, outside: Outside) -> None:
    response = server.get()
    response.readline()
    response.close()
    server.connection.close()
    (server.folder / "shop" / "go_on").touch()
    server.wait_for("went away before its end")
    ran = server.folder / "shop" / "ran"
    stopped_at = len(ran.read_text().splitlines()) if ran.exists() else 0
    assert stopped_at < 20
    end = json.loads(server.get(f"{URL}&k=test_01").read().splitlines()[-1])
    assert end["status"] == "PASS"  # it is nobody's turn any more
    assert (len(ran.read_text().splitlines()) if ran.exists() else 0) == stopped_at
    assert outside("SELECT name FROM testapp_item") == []
