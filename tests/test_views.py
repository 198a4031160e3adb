"""Over HTTP: whatever is asked and whatever is wrong, a report or a plain error."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from html import unescape
from importlib import import_module
from typing import Any

import django
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.handlers.asgi import ASGIHandler
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path
from django.views.decorators.cache import cache_page

from smoketest import history, renderers, sharing
from smoketest.options import Options
from smoketest.query import InvalidQuery, Query
from smoketest.results import Report
from smoketest.selection import Selection
from smoketest.views import IndexView
from tests.conftest import MakeApp

# A test that makes an app in its body sets settings by the fixture `settings`, requested
# before `make_app`: both restore what was before, so the last to set must be the first to go.

TOKEN = "a-token-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
with_token = override_settings(SMOKETEST_TOKENS=[TOKEN])

ADMINS: list[Any] = ["ops@example.com"]
if django.VERSION < (6, 0):
    ADMINS = [("Ops", "ops@example.com")]

HEADERS = {
    "Cache-Control": "no-store, private",
    "Vary": "Accept, Authorization, Cookie",
    "X-Robots-Tag": "noindex",
}

PASSING = """
    from smoketest import SmokeTest, tag

    class ShopTest(SmokeTest):
        @tag("db")
        def test_good(self):
            pass
"""
FAILING = """
    from smoketest import SmokeTest, optional

    class ShopTest(SmokeTest):
        def test_good(self):
            pass

        def test_bad(self):
            self.fail("the shelf is empty")

        @optional
        def test_extra(self):
            raise ValueError("no extra")
"""


class BrokenRenderer:
    """Cannot render."""

    format = "broken"
    media_type = "text/x-broken"
    charset = "utf-8"

    def render(self, report: Report) -> str:
        raise RuntimeError("the renderer is broken")


class RawRenderer:
    """A format that escapes nothing."""

    format = "raw"
    media_type = "text/x-raw"
    charset = "ascii"

    def render(self, report: Report) -> str:
        return "\ud800 ü"


class MetricsRenderer:
    """A format whose readers take any status but 200 for an outage."""

    format = "metrics"
    media_type = "text/x-metrics"
    charset = "utf-8"
    always_200 = True

    def render(self, report: Report) -> str:
        return f"passed {int(report.passed)}\n"


class TaggedView(IndexView):
    """A project's own view that runs a part of the tests."""

    def get_query(self) -> Query:
        return Query(selection=Selection(tags=("db",)))


class RefusingView(IndexView):
    """A project's own view that repeats what it was sent."""

    def get_query(self) -> Query:
        raise InvalidQuery("no \x1b[31m")


def elsewhere(request: HttpRequest) -> HttpResponse:
    """A page of the site that has nothing to do with smoke tests."""
    raise RuntimeError("the shop is on fire")


urlpatterns = [
    path("smoketest/", include("smoketest.urls")),
    path("cached/", cache_page(60)(IndexView.as_view())),
    path("tagged/", TaggedView.as_view()),
    path("refusing/", RefusingView.as_view()),
    path("elsewhere/", elsewhere),
]

pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.fixture
def passing(make_app: MakeApp) -> None:
    make_app("vshop", {"smoke.py": PASSING})


@pytest.fixture
def failing(make_app: MakeApp) -> None:
    make_app("vshop", {"smoke.py": FAILING})


def text(response: Any) -> str:
    return str(response.content.decode())


def lines(response: Any) -> list[str]:
    return text(response).splitlines()


# -- status, format and headers


@pytest.mark.usefixtures("passing")
def test_a_run_that_passes_is_200_and_pass(client: Client) -> None:
    response = client.get("/smoketest/")
    assert (response.status_code, lines(response)[0]) == (200, "PASS")
    assert response["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("status", [500, 503, 418])
def test_a_run_that_does_not_pass_has_the_status_of_the_setting(
    client: Client, status: int
) -> None:
    with override_settings(SMOKETEST_FAIL_STATUS=status):
        response = client.get("/smoketest/")
    assert (response.status_code, lines(response)[0]) == (status, "FAIL")
    assert "tests failed: 1" in lines(response)


def test_a_run_that_finds_nothing_does_not_pass(client: Client) -> None:
    response = client.get("/smoketest/")
    assert (response.status_code, lines(response)[0]) == (500, "FAIL")


@pytest.mark.usefixtures("passing")
@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ("", None, "text/plain"),
        ("", "*/*", "text/plain"),
        ("", "application/json", "application/json"),
        ("", "text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("", "image/png", "text/plain"),
        ("", "\ud800;q=\x00,,;/", "text/plain"),
        ("", "a/b," * 10_000, "text/plain"),
        ("?format=json", "text/html", "application/json"),
        ("?format=html", None, "text/html"),
    ],
)
def test_the_format_is_the_parameter_then_the_accept_header_then_text(
    client: Client, query: str, accept: str | None, media_type: str
) -> None:
    headers = {} if accept is None else {"HTTP_ACCEPT": accept}
    response = client.get(f"/smoketest/{query}", **headers)  # type: ignore[arg-type]
    assert response.status_code == 200
    assert response["Content-Type"] == f"{media_type}; charset=utf-8"


@pytest.mark.usefixtures("passing")
def test_the_page_has_a_strict_content_security_policy(client: Client) -> None:
    policy = client.get("/smoketest/?format=html")["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@with_token
@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(
    ("method", "query", "headers", "status"),
    [
        ("get", "?test=vshop.smoke.ShopTest.test_good", {}, 200),
        ("head", "?test=vshop.smoke.ShopTest.test_good", {}, 200),
        ("options", "", {}, 200),
        ("get", "", {}, 500),
        ("get", "?tag=nothing", {}, 400),
        ("get", "?nonsense=1", {}, 400),
        ("get", "", {"Authorization": "Bearer wrong"}, 403),
        ("post", "", {}, 405),
    ],
)
def test_every_response_has_the_headers(
    client: Client, method: str, query: str, headers: dict[str, str], status: int
) -> None:
    response = getattr(client, method)(f"/smoketest/{query}", headers=headers)
    assert response.status_code == status
    assert {name: response[name] for name in HEADERS} == HEADERS
    assert "charset=" in response["Content-Type"]


@pytest.mark.usefixtures("failing")
def test_head_runs_the_tests_and_has_the_headers_of_get_without_a_body(client: Client) -> None:
    get, head = client.get("/smoketest/?format=json"), client.head("/smoketest/?format=json")
    assert (head.status_code, head.content) == (500, b"")
    assert head["Content-Type"] == get["Content-Type"]
    assert int(head["Content-Length"]) > 100
    assert get["Content-Length"] == str(len(get.content))


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "trace"])
@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_other_methods_are_405_with_what_is_allowed(method: str, accept: str) -> None:
    client = Client(enforce_csrf_checks=True)
    with override_settings(MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"]):
        response = getattr(client, method)("/smoketest/", headers={"Accept": accept})
    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD, OPTIONS"
    assert "Use GET or HEAD" in text(response)
    assert text(response).startswith("FAIL\n" if accept == "*/*" else '{"status": "FAIL"')


def test_a_method_is_not_repeated_whole(client: Client) -> None:
    response = client.generic("X" * 5000, "/smoketest/")
    assert response.status_code == 405
    assert len(response.content) < 200


# -- selection and limits


@pytest.mark.usefixtures("failing")
def test_labels_select_and_may_be_repeated(client: Client) -> None:
    response = client.get(
        "/smoketest/?test=vshop.smoke.ShopTest.test_good&test=vshop.smoke.ShopTest.test_extra"
    )
    assert (response.status_code, lines(response)[2]) == (200, "tests run: 2")


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("query", ["k=test_good", "k=*_good"])
def test_a_pattern_selects(client: Client, query: str) -> None:
    response = client.get(f"/smoketest/?{query}")
    assert (response.status_code, lines(response)[2]) == (200, "tests run: 1")


@pytest.mark.usefixtures("passing")
def test_tags_select_and_leave_out(client: Client) -> None:
    assert client.get("/smoketest/?tag=db").status_code == 200
    nothing = client.get("/smoketest/?exclude-tag=db")
    assert (nothing.status_code, lines(nothing)[2]) == (500, "tests run: 0")


def options(client: Client, query: str = "", **headers: str) -> Options:
    """Return the options that the view makes of a request."""
    view = IndexView()
    view.setup(client.get(f"/smoketest/{query}", headers=headers).wsgi_request)
    return view.get_options(view.get_query())


def limits(client: Client, query: str = "", **headers: str) -> tuple[float, float | None, float]:
    """Return time-out, ceiling and deadline of these."""
    made = options(client, query, **headers)
    return made.timeout, made.timeout_ceiling, made.deadline


@pytest.mark.usefixtures("passing")
def test_limits_go_downwards_only(client: Client) -> None:
    assert limits(client) == (10, None, 25)
    assert limits(client, "?timeout=2.5&deadline=5") == (2.5, 2.5, 5)
    assert limits(client, "?timeout=60&deadline=600") == (10, 60, 25)


@pytest.mark.usefixtures("passing")
@pytest.mark.parametrize(
    ("sent", "deadline"),
    [("10", 9.5), ("0.5", 0.25), ("300", 25), ("x", 25), ("-1", 25), ("nan", 25), ("", 25)],
)
def test_a_scrapers_time_out_less_the_way_back_lowers_the_deadline(
    client: Client, sent: str, deadline: float
) -> None:
    found = limits(client, **{"X-Prometheus-Scrape-Timeout-Seconds": sent})
    assert found == (10, None, deadline)


@pytest.mark.parametrize(
    ("query", "failfast"), [("failfast=1", True), ("failfast=true", True), ("failfast=0", False)]
)
def test_failfast_is_an_option_of_the_run(client: Client, query: str, failfast: bool) -> None:
    assert options(client, f"?{query}").failfast is failfast


@pytest.mark.usefixtures("failing")
def test_list_shows_the_selected_tests_without_running_any(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("smoketest.runner.run")
    response = client.get("/smoketest/?list=1&k=good")
    assert (response.status_code, text(response)) == (200, "vshop.smoke.ShopTest.test_good\n")
    response = client.get("/smoketest/?list=1&format=json&k=good")
    assert json.loads(text(response))["tests"] == ["vshop.smoke.ShopTest.test_good"]


@pytest.mark.usefixtures("failing")
def test_a_projects_own_view_may_run_a_part(client: Client, make_app: MakeApp) -> None:
    make_app("vstock", {"smoke.py": PASSING.replace("ShopTest", "StockTest")})
    response = client.get("/tagged/?whatever=1")
    assert (response.status_code, lines(response)[2]) == (200, "tests run: 1")


# -- what makes no sense is 400


@pytest.mark.usefixtures("passing")
@pytest.mark.parametrize(
    ("query", "named", "valid"),
    [
        ("test=vshpo", "'vshpo'", "'vshop'"),
        ("tag=bd", "'bd'", "db"),
        ("format=jsno", "'jsno'", "'json'"),
        ("taag=db", "'taag'", "'tag'"),
        ("timeout=soon", "'soon'", "number of seconds"),
        ("deadline=-1", "'-1'", "number of seconds"),
        ("timeout=inf", "'inf'", "number of seconds"),
        ("timeout=1&timeout=2", "'timeout' is there 2 times", "once"),
        ("failfast=perhaps", "'perhaps'", "true"),
        ("list=", "''", "true"),
        ("test=", "'test' is empty", "every test"),
        ("format=text&format=json", "'format' is there 2 times", "once"),
    ],
)
@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_what_makes_no_sense_is_400_and_named_with_what_would_be_valid(
    client: Client, query: str, named: str, valid: str, accept: str
) -> None:
    response = client.get(f"/smoketest/?{query}", headers={"Accept": accept})
    assert response.status_code == 400
    if response["Content-Type"] == "application/json; charset=utf-8":
        body = json.loads(text(response))
        first, message = body["status"], body["error"]
    else:
        first, message = text(response).split("\n", 1)
    assert first == "FAIL"
    assert named in message
    assert valid in message


@pytest.mark.usefixtures("passing")
@pytest.mark.parametrize("query", ["test=vshpo", "tag=bd", "format=jsno", "taag=db", "list=1"])
def test_under_verdict_an_anonymous_caller_learns_no_name(client: Client, query: str) -> None:
    with override_settings(SMOKETEST_ANONYMOUS="verdict"):
        response = client.get(f"/smoketest/?{query}")
    assert response.status_code == (403 if query == "list=1" else 400)
    assert not any(name in text(response) for name in ("vshop", "db", "json", "exclude-tag"))


@pytest.mark.usefixtures("passing")
@pytest.mark.parametrize("pattern", ["v*", "*", "nothing"])
def test_under_verdict_an_anonymous_caller_guesses_no_name_by_patterns(
    client: Client, pattern: str
) -> None:
    with override_settings(SMOKETEST_ANONYMOUS="verdict"), with_token:
        refused = client.get(f"/smoketest/?k={pattern}")
        admitted = client.get(f"/smoketest/?k={pattern}", headers=BEARER)
    assert (refused.status_code, lines(refused)[0]) == (403, "FAIL")
    assert "letter by letter" in text(refused)
    assert admitted.status_code in (200, 500)


@pytest.mark.usefixtures("passing")
@pytest.mark.parametrize(
    "query",
    [
        "test=%00",
        "test=%ED%A0%80",
        "tag=%1B[31m%0D%0AX-Evil:1",
        "format=%00",
        "%00=1",
        "test=" + "x" * 5000,
        "&".join(f"tag=t{number}" for number in range(2000)),
        "format=<script>",
    ],
)
def test_hostile_query_strings_never_get_djangos_error_page(client: Client, query: str) -> None:
    response = client.get(f"/smoketest/?{query}")
    assert response.status_code == 400
    assert lines(response)[0] == "FAIL"
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert "\x1b" not in text(response)


def test_a_refusal_has_no_control_characters(client: Client) -> None:
    response = client.get("/refusing/")
    assert (response.status_code, text(response)) == (400, "FAIL\nno \\x1b[31m\n")


@pytest.mark.usefixtures("passing")
@override_settings(SMOKETEST_RENDERERS=["tests.test_views.RawRenderer"])
def test_what_the_charset_of_a_format_cannot_carry_is_escaped(client: Client) -> None:
    response = client.get("/smoketest/?format=raw")
    assert response["Content-Type"] == "text/x-raw; charset=ascii"
    assert response.content == b"\\ud800 \\xfc"


# -- who sees what


@with_token
@pytest.mark.usefixtures("failing")
def test_an_anonymous_caller_sees_a_summary_and_a_token_the_rest(client: Client) -> None:
    anonymous = client.get("/smoketest/")
    assert "vshop.smoke.ShopTest.test_bad failed" in lines(anonymous)
    assert "the shelf is empty" not in text(anonymous)
    trusted = client.get("/smoketest/", headers=BEARER)
    assert "vshop.smoke.ShopTest.test_bad failed: the shelf is empty" in lines(trusted)


@pytest.mark.usefixtures("failing")
@override_settings(SMOKETEST_ANONYMOUS="verdict")
def test_under_verdict_there_is_the_first_line_only(client: Client) -> None:
    assert text(client.get("/smoketest/")) == "FAIL\n"
    assert json.loads(text(client.get("/smoketest/?format=json"))) == {"status": "FAIL"}


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("format", renderers.formats())
@pytest.mark.parametrize("status", [400, 403])
def test_a_refusal_is_in_the_format_that_was_asked_for(
    client: Client, format: str, status: int
) -> None:
    wrong = "&tag=no-such-tag" if status == 400 else ""
    with override_settings(SMOKETEST_ANONYMOUS="summary" if wrong else "deny"):
        response = client.get(f"/smoketest/?format={format}{wrong}")
    renderer = renderers.get(format)
    assert response.status_code == status
    assert response["Content-Type"] == f"{renderer.media_type}; charset={renderer.charset}"
    if format != "prometheus":  # which has no place for words
        said = "Authorization: Bearer TOKEN" if status == 403 else "no-such-tag"
        assert said in text(response)


@pytest.mark.usefixtures("failing")
@override_settings(SMOKETEST_ANONYMOUS="deny")
def test_a_browser_that_is_refused_gets_a_page_that_says_how_to_be_let_in(client: Client) -> None:
    response = client.get("/smoketest/", headers={"Accept": "text/html"})
    page = unescape(text(response))
    assert "<title>FAIL — no test ran</title>" in page
    assert "Send the header 'Authorization: Bearer TOKEN'" in page
    assert "vshop" not in page
    assert "of this site did not pass" not in page
    assert response["Content-Security-Policy"].startswith("default-src 'none'")


@with_token
@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize(
    ("anonymous", "headers"), [("deny", {}), ("details", {"Authorization": "Bearer wrong"})]
)
def test_who_is_refused_causes_no_run(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    anonymous: str,
    headers: dict[str, str],
) -> None:
    monkeypatch.delattr("smoketest.runner.run")
    with override_settings(SMOKETEST_ANONYMOUS=anonymous):
        response = client.get("/smoketest/?format=json&nonsense=1", headers=headers)
    assert response.status_code == 403
    assert json.loads(text(response))["status"] == "FAIL"


@pytest.mark.django_db
@pytest.mark.usefixtures("failing")
def test_a_member_of_the_staff_who_is_logged_in_sees_everything(client: Client) -> None:
    client.force_login(User.objects.create(username="ann", is_staff=True))
    assert "the shelf is empty" in text(client.get("/smoketest/"))


def test_secrets_of_the_settings_are_hidden_from_everybody(
    client: Client, settings: Any, make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SMOKETEST_TOKENS = [TOKEN]
    settings.SHOP_API_KEY = "sk-live-0123456789"
    raising = "pass\n            raise ValueError('bad key sk-live-0123456789')"
    make_app("vsecret", {"smoke.py": PASSING.replace("pass", raising)})
    response = client.get("/smoketest/", headers=BEARER)
    assert "bad key ********************" in text(response)
    assert "sk-live" not in text(response)
    assert "sk-live" not in caplog.text


# -- around the view


@pytest.mark.usefixtures("passing")
@override_settings(
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
)
def test_login_required_middleware_lets_the_view_be(client: Client) -> None:
    assert client.get("/smoketest/").status_code == 200


@pytest.mark.usefixtures("failing")
@override_settings(
    MIDDLEWARE=[
        "django.middleware.cache.UpdateCacheMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
)
@pytest.mark.parametrize("url", ["/smoketest/?k=good", "/cached/?k=good"])
def test_the_cache_middleware_keeps_no_report(client: Client, url: str) -> None:
    first, second = client.get(f"{url}&format=json"), client.get(f"{url}&format=json")
    assert first["Cache-Control"] == "no-store, private"
    started = [json.loads(text(response))["started_at"] for response in (first, second)]
    assert started[0] != started[1]
    # Early releases of Django 5.2 stored what says "no-store" unless they were told so.
    assert not first.wsgi_request._cache_update_cache  # type: ignore[attr-defined]


@pytest.mark.usefixtures("passing", "sqlite")
def test_atomic_requests_put_no_transaction_around_the_view(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    seen: list[bool] = []

    def look(*_: object) -> Report:
        seen.append(connection.in_atomic_block)
        return passed()

    monkeypatch.setattr(IndexView, "get_report", look)
    assert client.get("/smoketest/").status_code == 200
    assert seen == [False]


def passed() -> Report:
    return Report(passed=True)


def test_the_view_needs_neither_the_app_nor_middleware(
    client: Client, settings: Any, make_app: MakeApp
) -> None:
    settings.INSTALLED_APPS, settings.MIDDLEWARE = ["tests.testapp"], []
    make_app("vother", {"smoke.py": PASSING})
    assert lines(client.get("/smoketest/"))[0] == "PASS"


@pytest.mark.django_db
def test_inside_the_projects_own_test_case_the_tests_see_its_data(
    client: Client, make_app: MakeApp
) -> None:
    User.objects.create(username="uncommitted")
    looking = """pass
            from django.contrib.auth.models import User
            self.assertTrue(User.objects.filter(username="uncommitted").exists())
            User.objects.create(username="smoke")
    """
    make_app("vinside", {"smoke.py": PASSING.replace("pass", looking)})
    response = client.get("/smoketest/")
    assert (response.status_code, lines(response)[0]) == (200, "PASS"), text(response)
    assert [user.username for user in User.objects.all()] == ["uncommitted"]


@pytest.mark.usefixtures("failing")
def test_the_view_works_under_asgi() -> None:
    response = async_to_sync(AsyncClient().get)("/smoketest/?k=good")
    assert (response.status_code, lines(response)[0]) == (200, "PASS")
    assert response["Cache-Control"] == "no-store, private"


@pytest.mark.usefixtures("failing")
def test_the_view_works_as_an_asgi_server_calls_it() -> None:
    sent: list[Mapping[str, Any]] = []
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "HEAD",
        "path": "/smoketest/",
        "query_string": b"k=bad",
        "headers": [(b"host", b"testserver"), (b"authorization", b"Basic \xff")],
    }
    async_to_sync(ASGIHandler())(scope, receive, send)
    start, body = sent
    assert start["status"] == 500
    assert body["body"] == b""


# -- sharing


@pytest.fixture
def under_way(make_app: MakeApp) -> Iterator[Callable[[], None]]:
    """A run that is under way until the returned function is called."""
    started, go_on = threading.Event(), threading.Event()

    def run(seconds: float) -> Report:
        started.set()
        assert go_on.wait(30)
        return passed()

    thread = threading.Thread(target=sharing.shared_run, args=("x", run), kwargs={"deadline": 20})
    thread.start()
    assert started.wait(30)
    yield go_on.set
    go_on.set()
    thread.join()


@pytest.mark.usefixtures("passing", "under_way")
@pytest.mark.parametrize("anonymous", ["summary", "verdict"])
@pytest.mark.parametrize("format", ["text", "json", "html", "metrics"])
def test_who_does_not_get_a_turn_in_time_is_told_when_to_come_back(
    client: Client, format: str, anonymous: str
) -> None:
    with override_settings(
        SMOKETEST_RENDERERS=["tests.test_views.MetricsRenderer"], SMOKETEST_ANONYMOUS=anonymous
    ):
        response = client.get(f"/smoketest/?deadline=0.01&format={format}")
    assert response.status_code == 503
    assert 1 <= int(response["Retry-After"]) <= 20
    assert response["Cache-Control"] == "no-store, private"
    if format == "text":
        said = "another run was under way" in text(response)
        assert lines(response)[0] == "FAIL"
        assert said is (anonymous == "summary")
    if format == "json":
        assert json.loads(text(response))["status"] == "FAIL"


WAITING = """
    import threading
    from smoketest import SmokeTest

    begun, go_on = threading.Event(), threading.Event()

    class WaitingTest(SmokeTest):
        def test_waits(self):
            begun.set()
            self.assertTrue(go_on.wait(30))
"""


def test_a_stranger_who_cuts_a_test_off_does_not_fail_the_next_run(make_app: MakeApp) -> None:
    make_app("vwaiting", {"smoke.py": WAITING})
    smoke = import_module("vwaiting.smoke")
    with ThreadPoolExecutor(1) as pool:
        assert Client().get("/smoketest/?deadline=1").status_code == 500
        assert smoke.begun.is_set()
        answer = pool.submit(lambda: Client().get("/smoketest/").status_code)
        with suppress(TimeoutError):
            answer.result(0.5)  # where it does not wait it is over by now
        smoke.go_on.set()
        assert answer.result(30) == 200


@override_settings(SMOKETEST_DEADLINE=0.5)
def test_a_run_that_was_cut_off_because_it_had_to_wait_raises_no_alarm(
    under_way: Callable[[], None], make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "smoketest")
    cache.clear()
    make_app("vlate", {"smoke.py": PASSING.replace("pass", "import time; time.sleep(5)")})
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: Client().get("/smoketest/").status_code)
        while not (answer.done() or sharing._sharing._turn._waiters):  # type: ignore[attr-defined]
            time.sleep(0.001)
        under_way()
        assert answer.result(30) == 503
    assert caplog.records == []
    with pytest.raises(history.NothingKnown):
        history.latest(Selection(), "web")


@pytest.mark.usefixtures("passing")
@with_token
@override_settings(SMOKETEST_CACHE_SECONDS=60)
def test_a_recent_report_answers_again_except_to_who_may_ask_for_a_fresh_one(
    client: Client,
) -> None:
    def cached(**headers: str) -> bool:
        response = client.get("/smoketest/?format=json", headers=headers)
        return bool(json.loads(text(response))["cached"])

    sharing._sharing.start_anew()
    fresh = {"Cache-Control": "max-age=0, No-Cache"}
    assert [cached(), cached(), cached(**fresh)] == [False, True, True]
    assert cached(**BEARER)
    assert not cached(**BEARER, **fresh)
    sharing._sharing.start_anew()


def test_a_smoke_test_that_asks_for_the_smoke_tests_is_told_so_at_once(
    client: Client, make_app: MakeApp
) -> None:
    asking = """pass
            inside = self.client.get("/smoketest/")
            self.assertContains(inside, "a run inside a run", status_code=500)
    """
    make_app("vnested", {"smoke.py": PASSING.replace("pass", asking)})
    response = client.get("/smoketest/")
    assert (response.status_code, lines(response)[0]) == (200, "PASS")


# -- when something around the tests is wrong


@with_token
@pytest.mark.parametrize(
    "wrong",
    [
        {"SMOKETEST_TIMEOUT": "10"},
        {"SMOKETEST_FAIL_STATUS": 200},
        {"SMOKETEST_CACHE_SECONDS": None},
        {"SMOKETEST_RENDERERS": ["no.such.Renderer"]},
        {"SMOKETEST_RENDERERS": ["django.http.HttpRequest"]},
        {"SMOKETEST_SKIP_APPS": "vshop"},
    ],
)
@pytest.mark.usefixtures("passing")
def test_a_wrong_setting_is_a_report_that_names_it_to_who_may_know(
    client: Client, wrong: dict[str, Any]
) -> None:
    (name,) = wrong
    with override_settings(**wrong):
        anonymous = client.get("/smoketest/")
        trusted = client.get("/smoketest/?format=json", headers=BEARER)
    assert (anonymous.status_code, lines(anonymous)[0]) == (500, "FAIL")
    assert name not in text(anonymous)
    (result,) = json.loads(text(trusted))["results"]
    assert (result["id"], result["outcome"]) == ("smoketest", "errored")
    assert name in result["message"]


@pytest.mark.usefixtures("passing")
@pytest.mark.parametrize(
    "wrong", [{"SMOKETEST_ANONYMOUS": "everything"}, {"SMOKETEST_PERMISSION": 5}]
)
def test_while_it_is_unclear_who_may_see_what_there_is_the_verdict_only(
    client: Client, wrong: dict[str, Any]
) -> None:
    with override_settings(**wrong):
        response = client.get("/smoketest/")
        assert (response.status_code, text(response)) == (500, "FAIL\n")


@pytest.mark.usefixtures("passing")
@override_settings(DEBUG=True, SMOKETEST_PERMISSION=5)
def test_with_debug_a_wrong_setting_about_access_is_named_too(client: Client) -> None:
    assert "SMOKETEST_PERMISSION is 5" in text(client.get("/smoketest/"))


@with_token
@pytest.mark.usefixtures("passing")
@override_settings(SMOKETEST_RENDERERS=["tests.test_views.BrokenRenderer"])
def test_a_renderer_that_raises_is_a_report_in_text_and_is_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    response = client.get("/smoketest/?format=broken", headers=BEARER)
    assert (response.status_code, lines(response)[0]) == (500, "FAIL")
    assert "smoketest errored: RuntimeError: the renderer is broken" in lines(response)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.name == "smoketest"
    assert "the renderer is broken" in caplog.text


@pytest.mark.usefixtures("passing")
@override_settings(SMOKETEST_SKIP_APPS="x", DEFAULT_EXCEPTION_REPORTER_FILTER="no.such.Filter")
def test_even_when_the_error_cannot_be_told_there_is_a_verdict(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    from django.views.debug import get_default_exception_reporter_filter as cached

    cached.cache_clear()  # type: ignore[attr-defined]
    response = client.get("/smoketest/")
    cached.cache_clear()  # type: ignore[attr-defined]
    assert (response.status_code, text(response)) == (500, "FAIL\n")
    assert "No module named 'no'" in caplog.text


@pytest.mark.usefixtures("failing")
@override_settings(SMOKETEST_RENDERERS=["tests.test_views.MetricsRenderer"])
def test_a_format_that_is_always_200_is_so_for_a_failing_run(client: Client) -> None:
    response = client.get("/smoketest/?format=metrics")
    assert (response.status_code, text(response)) == (200, "passed 0\n")


@pytest.mark.parametrize(
    "body",
    [
        "raise SystemExit(3)",
        "raise KeyError('\\ud800 \\x00 \\x1b[31m')",
        "raise BaseException('base')",
        "import sys; sys.exit()",
    ],
)
@pytest.mark.parametrize("format", ["text", "json", "html"])
def test_whatever_a_test_raises_there_is_a_report(
    client: Client, settings: Any, make_app: MakeApp, body: str, format: str
) -> None:
    settings.SMOKETEST_TOKENS = [TOKEN]
    make_app("vraising", {"smoke.py": PASSING.replace("pass", f"pass\n            {body}")})
    response = client.get(f"/smoketest/?format={format}", headers=BEARER)
    assert response.status_code == 500
    assert "vraising.smoke.ShopTest.test_good" in text(response)
    assert not {"\x00", "\x1b"} & set(text(response))


@pytest.mark.parametrize("source", ["import sys; sys.exit(1)", "1/0", "import nothing_there", "("])
def test_whatever_a_smoke_module_does_there_is_a_report(
    client: Client, make_app: MakeApp, source: str
) -> None:
    make_app("vimport", {"smoke.py": source})
    response = client.get("/smoketest/")
    assert (response.status_code, lines(response)[0]) == (500, "FAIL")
    assert "vimport.smoke errored" in lines(response)


@pytest.fixture
def database_down(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database is a file in a folder that is not there."""
    from django.db import connections
    from django.db.backends.sqlite3.base import DatabaseWrapper

    kept = connections["default"]
    settings_dict = {**kept.settings_dict, "NAME": str(tmp_path / "gone" / "db.sqlite3")}
    monkeypatch.setitem(connections.settings, "default", settings_dict)
    connections["default"] = DatabaseWrapper(settings_dict, "default")
    yield
    connections["default"] = kept


@pytest.mark.usefixtures("database_down")
@pytest.mark.parametrize("saving", [False, True])
def test_a_database_that_is_down_is_a_result_also_for_a_caller_with_a_session(
    client: Client, settings: Any, make_app: MakeApp, django_db_blocker: Any, saving: bool
) -> None:
    settings.SMOKETEST_ANONYMOUS = "details"
    settings.SESSION_SAVE_EVERY_REQUEST = saving
    asking = "pass\n            from tests.testapp.models import Item; Item.objects.count()"
    make_app("vdown", {"smoke.py": PASSING.replace("pass", asking)})
    client.cookies["sessionid"] = "x" * 32
    with django_db_blocker.unblock():
        response = client.get("/smoketest/")
    assert (response.status_code, lines(response)[0]) == (500, "FAIL")
    assert "unable to open database file" in text(response)
    assert not response.cookies  # whoever was logged in still is


# -- log and mail


@pytest.mark.usefixtures("failing")
@override_settings(ADMINS=ADMINS)
@pytest.mark.filterwarnings("ignore:Django 2028 will not have a default mailer")
def test_a_failing_run_mails_nobody_and_another_500_does(
    client: Client, mailoutbox: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    # Django's default logging is in force, with its AdminEmailHandler.
    client.get("/smoketest/")
    assert not mailoutbox
    assert not [record for record in caplog.records if record.name == "django.request"]
    client.get("/elsewhere/")
    assert len(mailoutbox) == 1


@pytest.mark.usefixtures("failing")
def test_a_run_is_logged_once_with_each_failure(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "smoketest"):
        client.get("/smoketest/")
    logged = [record for record in caplog.records if record.name == "smoketest"]
    assert [record.levelname for record in logged] == ["WARNING", "WARNING", "INFO"]
    assert "vshop.smoke.ShopTest.test_bad failed: the shelf is empty" in caplog.text


@pytest.mark.usefixtures("passing")
def test_a_refusal_is_logged_as_django_does(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.get("/smoketest/?nonsense=1")
    client.post("/smoketest/")
    logged = [record.getMessage() for record in caplog.records]
    assert logged == ["Bad Request: /smoketest/", "Method Not Allowed (POST): /smoketest/"]
