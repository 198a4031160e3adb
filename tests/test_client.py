"""``self.client`` reaches the site as it is, and the process does not notice."""

from __future__ import annotations

import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import close_old_connections, connection, connections, transaction
from django.dispatch import Signal
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.test import RequestFactory, SimpleTestCase
from django.test.signals import template_rendered
from django.urls import get_script_prefix, path, reverse, set_script_prefix

from smoketest.client import (
    SmokeAsyncClient,
    SmokeClient,
    begin_thread,
    default_host,
    site_host,
)
from smoketest.exceptions import Refused
from smoketest.isolation import rolled_back
from tests.conftest import Outside
from tests.testapp.models import Item

pytestmark = pytest.mark.urls(__name__)

SIGNALS = (request_started, request_finished, got_request_exception, template_rendered)
MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"


# -- the site


def about(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "host": request.get_host(),
            "scheme": request.scheme,
            "method": request.method,
            "body": request.body.decode(),
        }
    )


def during(request: HttpRequest) -> HttpResponse:
    """Do what the test asks for while the request is under way."""
    request.META["test.during"]()
    return HttpResponse("done")


class ViewFailed(Exception):
    pass


def boom(request: HttpRequest) -> HttpResponse:
    raise ViewFailed("in the view")


async def async_boom(request: HttpRequest) -> HttpResponse:
    raise ViewFailed("in the view")


def write_then_boom(request: HttpRequest) -> HttpResponse:
    Item.objects.create(name="written")
    raise ViewFailed("after writing")


def write(request: HttpRequest) -> HttpResponse:
    with transaction.atomic(durable=not connection.settings_dict["ATOMIC_REQUESTS"]):
        Item.objects.create(name="written")
    return HttpResponse(f"{Item.objects.count()} items")


def commit(request: HttpRequest) -> HttpResponse:
    transaction.commit()
    return HttpResponse("committed")


def bad_template(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, "nobody/has/this.html")


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404


def forbidden(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation("odd")


def leave(request: HttpRequest) -> HttpResponse:
    raise SystemExit(3)


def elsewhere(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(request.GET.get("to", "/about/"))


def visit(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("back again" if "seen" in request.COOKIES else "new")
    response.set_cookie("seen", "yes")
    return response


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"one ", b"two"]))


def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    return StreamingHttpResponse(chunks())


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(BytesIO(b"contents"))


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username() or "nobody")


async def async_count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{await Item.objects.acount()} items")


def server_error(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the site's own page", status=500)


VIEWS: list[Any] = [
    *(about, during, boom, async_boom, write_then_boom, write, commit, bad_template, missing),
    *(forbidden, suspicious, leave, elsewhere, visit, stream, async_stream, file),
    *(who, async_count),
]
urlpatterns = [
    path(f"{view.__name__.replace('_', '-')}/", view, name=view.__name__) for view in VIEWS
]
handler500 = server_error


class FailingMiddleware:
    """Fails before the view."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        pass

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        raise ViewFailed("in a middleware")


class CountedMiddleware:
    """Counts how often it is made."""

    made = 0

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        type(self).made += 1
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)


# -- asking it

Get = Callable[..., Any]


def get(url: str, **kwargs: Any) -> Any:
    """The response of a new SmokeClient."""
    return SmokeClient().get(url, **kwargs)


def async_get(url: str, **kwargs: Any) -> Any:
    """The response of a new SmokeAsyncClient, from a coroutine as a test's is run."""

    async def ask() -> Any:
        return await SmokeAsyncClient().get(url, **kwargs)

    return async_to_sync(ask)()


both = pytest.mark.parametrize("get", [get, async_get], ids=["sync", "async"])


def in_thread(work: Callable[[], object]) -> None:
    """Do `work` in another thread and wait for it."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def live(url: str) -> int:
    """The status that a server would get for `url`, by Django's handler for servers."""
    handler: Any = WSGIHandler()
    response = handler(
        RequestFactory(SERVER_NAME="smoke.example").get(url).environ, lambda *_: None
    )
    response.close()
    return int(response.status_code)


@contextmanager
def count(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    """What is sent with `signal` in the block."""
    sent: list[dict[str, Any]] = []

    def note(**kwargs: Any) -> None:
        sent.append(kwargs)

    signal.connect(note)
    try:
        yield sent
    finally:
        signal.disconnect(note)


# -- the process


def test_no_receiver_comes_or_goes_in_a_request() -> None:
    def receivers() -> list[Any]:
        return [list(signal.receivers) for signal in SIGNALS]

    seen: list[Any] = []
    before = receivers()
    get("/during/", **{"test.during": lambda: seen.append(receivers())})
    b"".join(get("/stream/").streaming_content)
    with pytest.raises(ViewFailed):
        get("/boom/")
    with pytest.raises(ViewFailed):
        async_get("/boom/")
    assert seen == [before]
    assert receivers() == before
    assert request_started.disconnect(close_old_connections)
    request_started.connect(close_old_connections)


def test_an_error_of_a_live_request_meanwhile_is_not_the_tests() -> None:
    statuses: list[int] = []
    response = get(
        "/during/", **{"test.during": lambda: in_thread(lambda: statuses.append(live("/boom/")))}
    )
    assert statuses == [500]
    assert response.status_code == 200
    assert response.exc_info is None


def test_an_error_of_a_request_inside_the_same_context_is_not_the_tests() -> None:
    statuses: list[int] = []
    get("/during/", **{"test.during": lambda: statuses.append(live("/boom/"))})
    assert statuses == [500]


@both
def test_the_signals_of_a_request_are_sent_once_each(get: Get) -> None:
    with count(request_started) as started, count(request_finished) as finished:
        get("/about/")
    assert (len(started), len(finished)) == (1, 1)


def test_the_middleware_is_loaded_once_for_all_clients_and_again_for_other_settings(
    settings: Any,
) -> None:
    settings.MIDDLEWARE = [f"{__name__}.CountedMiddleware"]
    CountedMiddleware.made = 0
    for _ in range(3):
        get("/about/")
    assert CountedMiddleware.made == 1
    settings.SECURE_SSL_REDIRECT = False  # middleware reads settings when it is made
    get("/about/")
    assert CountedMiddleware.made == 2


# -- the host


@both
@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (["shop.example", "other.example"], "shop.example"),
        ([".shop.example"], "shop.example"),
        (["*", "shop.example"], "shop.example"),
        (["*"], "localhost"),
        (["*.shop.example", "shop.example:8000", "Shop.example"], "Shop.example"),
        (["[::1]"], "[::1]"),
    ],
)
def test_the_host_is_one_that_allowed_hosts_admits(
    get: Get, settings: Any, allowed: list[str], expected: str
) -> None:
    settings.ALLOWED_HOSTS = allowed
    response = get("/about/")
    assert response.status_code == 200
    assert response.json()["host"] == expected


@both
def test_the_host_is_localhost_where_debug_stands_in_for_allowed_hosts(
    get: Get, settings: Any
) -> None:
    settings.ALLOWED_HOSTS, settings.DEBUG = [], True
    assert get("/about/").json()["host"] == "localhost"


@both
def test_a_site_that_admits_no_host_answers_400_as_it_does_to_everybody(
    get: Get, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = []
    assert get("/about/").status_code == 400


@both
def test_default_host_comes_before_allowed_hosts(get: Get, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["first.example", ".second.example"]
    token = default_host.set("b.second.example:8443")
    try:
        assert site_host() == "b.second.example:8443"
        assert get("/about/").json()["host"] == "b.second.example:8443"
    finally:
        default_host.reset(token)


@both
def test_a_host_that_the_test_gives_comes_before_the_default(get: Get, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["first.example", "second.example"]
    assert get("/about/", headers={"host": "second.example"}).json()["host"] == "second.example"
    assert get("/about/", headers={"host": "third.example"}).status_code == 400


def test_server_name_gives_the_host_as_in_djangos_client(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["first.example", "second.example"]
    assert get("/about/", SERVER_NAME="second.example").json()["host"] == "second.example"
    client = SmokeClient(SERVER_NAME="second.example")
    assert client.get("/about/").json()["host"] == "second.example"


# -- https


@pytest.fixture
def redirects_to_https(settings: Any) -> None:
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", *settings.MIDDLEWARE]
    settings.SECURE_SSL_REDIRECT = True


@both
def test_a_request_is_over_http_by_default(get: Get) -> None:
    assert get("/about/").json()["scheme"] == "http"
    assert get("/about/", secure=True).json()["scheme"] == "https"


@both
@pytest.mark.usefixtures("redirects_to_https")
def test_a_request_is_over_https_where_the_site_redirects_to_it(get: Get) -> None:
    response = get("/about/")
    assert response.status_code == 200
    assert response.json()["scheme"] == "https"


@pytest.mark.usefixtures("redirects_to_https")
def test_the_redirect_to_https_itself_can_be_asked_for() -> None:
    response = get("/about/", **{"wsgi.url_scheme": "http"})
    assert (response.status_code, response.url) == (301, "https://testserver/about/")


# -- errors


@both
@pytest.mark.parametrize("url", ["/boom/", "/async-boom/"])
def test_an_error_in_a_view_is_raised_with_its_own_traceback(get: Get, url: str) -> None:
    with pytest.raises(ViewFailed, match="in the view") as caught:
        get(url)
    innermost = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert innermost.name == url.strip("/").replace("-", "_")


@both
def test_an_error_in_a_template_is_raised(get: Get) -> None:
    with pytest.raises(Exception, match=r"nobody/has/this\.html"):
        get("/bad-template/")


@both
def test_an_error_in_a_middleware_is_raised(get: Get, settings: Any) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE, f"{__name__}.FailingMiddleware"]
    with pytest.raises(ViewFailed, match="in a middleware"):
        get("/about/")


def test_an_error_in_the_outermost_middleware_is_raised(settings: Any) -> None:
    settings.MIDDLEWARE = [f"{__name__}.FailingMiddleware", MIDDLEWARE]
    with pytest.raises(ViewFailed, match="in a middleware"):
        get("/about/")


@both
@pytest.mark.parametrize(
    ("url", "status"),
    [("/missing/", 404), ("/no/such/route/", 404), ("/forbidden/", 403), ("/suspicious/", 400)],
)
def test_what_django_answers_by_itself_is_a_response(get: Get, url: str, status: int) -> None:
    response = get(url)
    assert response.status_code == status
    assert response.exc_info is None


@both
def test_a_failing_request_of_a_test_mails_nobody(
    get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ViewFailed):
        get("/boom/")
    assert [record for record in caplog.records if record.name == "django.request"] == []


def test_a_failing_request_of_the_site_is_logged_as_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    live("/boom/")
    (record,) = [record for record in caplog.records if record.name == "django.request"]
    assert record.levelname == "ERROR"


@both
def test_system_exit_in_a_view_reaches_the_test(get: Get) -> None:
    with pytest.raises(SystemExit):
        get("/leave/")


def test_with_raise_request_exception_off_the_sites_error_page_is_returned() -> None:
    client: Any = SmokeClient(raise_request_exception=False)
    response = client.get("/boom/")
    assert (response.status_code, response.content) == (500, b"the site's own page")
    assert response.exc_info[0] is ViewFailed
    assert client.get("/about/").exc_info is None


def test_a_client_can_be_used_after_an_error() -> None:
    client = SmokeClient()
    with pytest.raises(ViewFailed):
        client.get("/boom/")
    assert client.get("/about/").status_code == 200


# -- what a client does besides


def test_data_is_posted() -> None:
    response = SmokeClient().post("/about/", {"a": 1}, content_type="application/json")
    assert response.json()["method"] == "POST"
    assert response.json()["body"] == '{"a": 1}'


def test_data_is_posted_asynchronously() -> None:
    async def post() -> Any:
        return await SmokeAsyncClient().post("/about/", {"a": 1}, content_type="application/json")

    assert async_to_sync(post)().json()["body"] == '{"a": 1}'


def test_csrf_is_checked_only_where_the_test_asks_for_it(settings: Any) -> None:
    settings.MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
    assert SmokeClient().post("/about/").status_code == 200
    assert SmokeClient(enforce_csrf_checks=True).post("/about/").status_code == 403
    client = SmokeClient()
    client.handler.enforce_csrf_checks = True
    assert client.post("/about/").status_code == 403


@pytest.mark.parametrize("kind", [SmokeClient, SmokeAsyncClient])
def test_a_cookie_that_the_site_sets_is_sent_back(kind: Any) -> None:
    async def ask(client: Any, url: str) -> Any:
        response = client.get(url)
        return await response if kind is SmokeAsyncClient else response

    client = kind()
    for expected in (b"new", b"back again"):
        assert async_to_sync(ask)(client, "/visit/").content == expected


def test_redirects_are_followed() -> None:
    response = get("/elsewhere/", follow=True)
    assert response.redirect_chain == [("/about/", 302)]
    assert response.json()["host"] == "testserver"


def test_redirects_are_followed_to_another_host_of_the_site() -> None:
    response = get("/elsewhere/?to=https://smoke.example/about/", follow=True)
    assert response.json()["host"] == "smoke.example"
    assert response.json()["scheme"] == "https"


def test_redirects_are_followed_asynchronously() -> None:
    response = async_get("/elsewhere/", follow=True)
    assert response.redirect_chain == [("/about/", 302)]
    assert response.status_code == 200


def test_djangos_assertions_take_its_responses() -> None:
    case = SimpleTestCase()
    case.assertContains(get("/who/", follow=True), "nobody")
    case.assertContains(get("/stream/"), "one two")
    case.assertRedirects(get("/elsewhere/"), "/about/")
    assert get("/about/").resolver_match.func is about


def test_a_template_assertion_cannot_pass_for_want_of_a_record() -> None:
    with pytest.raises(Refused, match=r"response\.templates was used"):
        SimpleTestCase().assertTemplateNotUsed(get("/about/"), "a.html")


@both
def test_a_context_that_nobody_recorded_is_refused_in_words(get: Get) -> None:
    context = get("/about/").context
    for use in (
        lambda: context["form"],
        lambda: "form" in context,
        lambda: context.get("form"),
        lambda: bool(context),
        lambda: list(context),
    ):
        with pytest.raises(Refused, match=r"response\.context was used.*assertContains"):
            use()
    assert repr(context) == "<response.context: not recorded>"


# -- below a path of its host


@pytest.fixture
def mounted(settings: Any) -> Iterator[None]:
    """The site is at /shop, as Django knows it on a thread of the runner."""
    settings.FORCE_SCRIPT_NAME = "/shop"
    before = get_script_prefix()
    begin_thread(None)
    yield
    set_script_prefix(before)


@both
@pytest.mark.usefixtures("mounted")
@pytest.mark.parametrize("url", ["/about/", "/shop/about/", "https://smoke.example/shop/about/"])
def test_a_mounted_site_is_asked_with_and_without_its_mount(get: Get, url: str) -> None:
    response = get(url)
    assert response.status_code == 200
    assert response.resolver_match.func is about
    served = getattr(response, "wsgi_request", None) or response.asgi_request
    assert served.path == "/shop/about/"


@pytest.mark.usefixtures("mounted")
def test_a_mounted_site_is_asked_for_what_reverse_and_redirects_say() -> None:
    case = SimpleTestCase()
    assert reverse("about") == "/shop/about/"
    assert get(reverse("about")).status_code == 200
    case.assertRedirects(get("/elsewhere/?to=/shop/about/"), reverse("about"))


@pytest.mark.usefixtures("mounted")
def test_a_path_that_only_begins_like_the_mount_is_as_it_was() -> None:
    assert get("/shopping/").status_code == 404
    assert get("/shopping/").wsgi_request.path == "/shop/shopping/"


@pytest.mark.parametrize("url", ["/stream/", "/file/"])
def test_a_stream_is_closed_when_it_has_been_read(url: str) -> None:
    with count(request_finished) as finished:
        response = get(url)
        assert not finished
        assert b"".join(response.streaming_content) in (b"one two", b"contents")
        assert len(finished) == 1
    assert response.closed


def test_an_asynchronous_stream_is_closed_when_it_has_been_read() -> None:
    async def read() -> tuple[bytes, bool]:
        response: Any = await SmokeAsyncClient().get("/async-stream/")
        chunks = [chunk async for chunk in response.streaming_content]
        return b"".join(chunks), response.closed

    assert async_to_sync(read)() == (b"one two", True)


def test_the_body_is_left_away_in_the_answer_to_head() -> None:
    client: Any = SmokeClient()
    assert client.head("/about/").content == b""
    assert b"".join(client.head("/stream/").streaming_content) == b""


# -- the database


@both
@pytest.mark.parametrize("atomic_requests", [False, True])
def test_what_a_view_writes_is_seen_by_the_test_and_rolled_back(
    get: Get,
    vendor: str,
    outside: Outside,
    atomic_requests: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", atomic_requests)
    with rolled_back("a test"):
        Item.objects.create(name="by the test")
        assert get("/write/").content == b"2 items"
        assert get("/about/").status_code == 200
        assert Item.objects.count() == 2
        assert outside("SELECT name FROM testapp_item") == []
    assert outside("SELECT name FROM testapp_item") == []


@pytest.mark.parametrize(("atomic_requests", "left"), [(False, 1), (True, 0)])
def test_an_erring_view_leaves_in_the_test_what_it_would_leave_in_production(
    sqlite: Any, atomic_requests: bool, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", atomic_requests)
    with rolled_back("a test"):
        assert (
            SmokeClient(raise_request_exception=False).get("/write-then-boom/").status_code == 500
        )
        assert Item.objects.count() == left
    assert Item.objects.count() == 0


def test_an_asynchronous_view_uses_the_tests_transaction(sqlite: Any) -> None:
    with rolled_back("a test"):
        Item.objects.create(name="by the test")
        assert async_get("/async-count/").content == b"1 items"
        assert get("/async-count/").content == b"1 items"


def test_a_view_cannot_commit(vendor: str, outside: Outside) -> None:
    with rolled_back("a test"):
        Item.objects.create(name="by the test")
        with pytest.raises(Exception, match=r"called commit\(\)|atomic"):
            get("/commit/")
    assert outside("SELECT name FROM testapp_item") == []


def test_a_user_logs_in_and_out_and_nothing_of_it_is_left(vendor: str, outside: Outside) -> None:
    with rolled_back("a test"):
        user = get_user_model().objects.create_user("ada", password="secret")
        client = SmokeClient()
        assert client.get("/who/").content == b"nobody"
        client.force_login(user)
        assert client.get("/who/").content == b"ada"
        client.logout()
        assert client.get("/who/").content == b"nobody"
        assert client.login(username="ada", password="secret")
        assert client.get("/who/").content == b"ada"
    assert outside("SELECT * FROM auth_user") == []
    assert outside("SELECT * FROM django_session") == []


def test_a_user_logs_in_asynchronously(sqlite: Any, outside: Outside) -> None:
    async def log_in() -> bytes:
        user = await get_user_model().objects.acreate_user("ada")
        client = SmokeAsyncClient()
        await client.aforce_login(user)
        content: bytes = (await client.get("/who/")).content
        return content

    with rolled_back("a test"):
        assert async_to_sync(log_in)() == b"ada"
    assert outside("SELECT * FROM auth_user") == []
    assert outside("SELECT * FROM django_session") == []
