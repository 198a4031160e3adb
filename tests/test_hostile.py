"""Whatever is sent and whatever a test says: a report or a plain refusal, and no secret.

A few hundred examples in the usual run; ten thousand in the slow one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import pytest
from django.db import transaction
from django.test import Client, override_settings
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from smoketest import conf, negotiation, query, renderers, selection, sharing
from smoketest.query import PARAMETERS
from smoketest.responses import HEADERS
from tests.conftest import MakeApp, Outside
from tests.testapp.models import Item

TOKEN = "token-only-for-hostile-tests-4711"
PASSWORD = "pa55word-of-the-database"
API_KEY = "sk_live_of-the-payment-provider"
SECRETS = (TOKEN, PASSWORD, API_KEY)

SMOKE = '''
    from smoketest import SmokeTest, tag


    class Said:
        """What the next run says, and by which way; set from outside."""

        message = ""
        way = "fail"


    class HostileTest(SmokeTest):
        @tag("db")
        def test_it(self):
            ways = {"fail": AssertionError, "error": ValueError, "exit": SystemExit}
            if Said.way == "skip":
                self.skipTest(Said.message)
            if Said.way == "subtests":
                with self.subTest(Said.message):
                    self.fail(Said.message)
            elif Said.way in ways:
                raise ways[Said.way](Said.message)

        def test_good(self):
            """A pass."""
'''

CROWD = """
    import threading
    from smoketest import SmokeTest
    go_on = threading.Event()

    class CrowdTest(SmokeTest):
        def test_it(self):
            self.assertTrue(go_on.wait(30))
"""

SUPPRESSED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
usual = examples(max_examples=150, deadline=None, suppress_health_check=SUPPRESSED)
SHARES = 5
"""Parts of the five thousand examples of each kind, none of which takes minutes."""

nightly = examples(
    max_examples=5_000 // SHARES,
    deadline=None,
    suppress_health_check=SUPPRESSED,
    phases=[Phase.explicit, Phase.generate],  # to shrink would take longer than the night
)

# -- what may be sent


def as_sent(text: str) -> str:
    """Return ``text`` as WSGI has a header: each byte is a character."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


texts = st.text(max_size=60) | st.text("\0\x1b\r\n\ud800\u202e<>&\"'%;,=*/|", max_size=20)
"""Text with all there is in it, and text of what means something to somebody."""

names = st.sampled_from([*renderers.formats(), "nope", "TEXT", "text\0", ""])
media_types = st.sampled_from(
    [
        *(name for one in renderers.RENDERERS for name in renderers.media_types(one)),
        *(one.media_type for each in renderers.RENDERERS for one in getattr(each, "variants", ())),
        "*/*",
        "text/*",
        "*/html",
        "text",
        "/",
        "application/json;version=1",
    ]
)
qualities = st.sampled_from(["", ";q=0", ";q=1", ";q=0.5", ";q=nan", ";q=-1", ";q=1e9", ";q="])
accepts = st.lists(st.tuples(media_types, qualities).map("".join), max_size=6).map(",".join) | texts
parameters = st.sampled_from([*PARAMETERS, *PARAMETERS, "page", "", "\0"])
values = (
    names
    | texts
    | st.sampled_from(
        ["hostile", "hostile.smoke.HostileTest", "db", "1", "0.5", "nan", "*", "[", "1e999"]
    )
)
queries = st.lists(st.tuples(parameters, values), max_size=4).map(
    lambda pairs: urlencode(pairs, errors="surrogatepass")
) | texts.map(lambda text: quote(text, safe="&=%+;", errors="surrogatepass"))
header_names = st.sampled_from(
    [
        "HTTP_COOKIE",
        "HTTP_CACHE_CONTROL",
        "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS",
        "HTTP_HOST",
        "HTTP_X_FORWARDED_HOST",
        "HTTP_USER_AGENT",
    ]
)
header_values = texts | st.sampled_from(
    [
        "Bearer ",
        "Bearer x",
        f"Bearer {TOKEN} ",
        "Basic eDp5",
        "no-cache",
        "0",
        "1e-9",
        "sessionid=x",
    ]
)
authorizations = st.sampled_from(
    ["", "", f"Bearer {TOKEN}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"bearer  {TOKEN}"]
) | texts.map("Bearer ".__add__)
headers = st.dictionaries(header_names, header_values.map(as_sent), max_size=2)
methods = st.sampled_from(["GET", "GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "BREW"])
secret_texts = st.tuples(texts, st.sampled_from(["", *SECRETS]), texts).map(
    "".join
) | st.sampled_from(
    [f"could not connect to postgresql://shop:{PASSWORD}@db/shop", f"key={API_KEY!r}"]
)
ways = st.sampled_from(["fail", "error", "exit", "skip", "subtests", "pass"])
levels = st.sampled_from(["details", "summary", "verdict", "deny"])


@pytest.fixture
def said(make_app: MakeApp, settings: Any) -> Iterator[Any]:
    """The app whose test says what it is told to; nothing of one example is kept for the next."""
    settings.SMOKETEST_TOKENS = [TOKEN]
    settings.PAYMENT_API_KEY = API_KEY
    settings.SHOP_PASSWORD = PASSWORD
    settings.ALLOWED_HOSTS = ["*"]
    make_app("hostile", {"smoke.py": SMOKE})
    yield import_module("hostile.smoke").Said
    sharing._sharing.start_anew()


def answer(method: str, query: str, sent: dict[str, str]) -> tuple[Any, str]:
    """Ask through Django; there is no database, so a cookie finds no session either."""
    client = Client(raise_request_exception=False)
    environment: dict[str, Any] = {"QUERY_STRING": query, **sent}
    response: Any = client.generic(method, "/smoketest/", **environment)
    content = b"".join(response) if response.streaming else response.content
    response.close()
    return response, content.decode(response.charset)


def check(method: str, query: str, sent: dict[str, str]) -> None:
    """Hold the answer to what is promised of every answer."""
    response, body = answer(method, query, sent)
    status = response.status_code
    assert status in {200, 400, 403, 405, 500}
    assert {name: response[name] for name in HEADERS} == HEADERS
    assert not re.search(r"[\r\n]", "".join(f"{k}{v}" for k, v in response.items()))
    if method == "HEAD":
        assert body == ""
    elif method != "OPTIONS":
        media_type = response["Content-Type"].partition(";")[0]
        assert IS_REPORT[media_type](body), body[:500]
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", body)
    for secret in SECRETS:
        assert secret not in body
        assert secret not in str(response.headers)


TEXTS = ("PASS", "FAIL", "SMOKETEST ", "TAP version 14\n", "# HELP ", "hostile.smoke")
"""How what is plain text begins: reports, refusals and lists of tests."""


def last_line_has_status(body: str) -> object:
    return json.loads(body.splitlines()[-1])["status"]


IS_REPORT: dict[str, Callable[[str], object]] = {
    "application/health+json": lambda body: json.loads(body)["status"],
    "application/json": lambda body: json.loads(body).keys() & {"status", "tests"},
    "application/openmetrics-text": lambda body: body.endswith("# EOF\n"),
    "application/vnd.django-smoketest.progress+x-ndjson": last_line_has_status,
    "application/x-ndjson": last_line_has_status,
    "application/xml": lambda body: ElementTree.fromstring(body).tag == "testsuites",
    "text/html": lambda body: 'id="verdict"' in body,
    "text/plain": lambda body: body == "" or body.startswith(TEXTS),
}
"""Whether a body is a report of ours, a refusal or a list of tests, by its media type."""


def ask(said: Any, drawn: Any) -> None:
    """One example of everything."""
    said.message, said.way = drawn.draw(secret_texts), drawn.draw(ways)
    sent = drawn.draw(headers) | {"HTTP_ACCEPT": as_sent(drawn.draw(accepts))}
    if authorization := drawn.draw(authorizations):
        sent["HTTP_AUTHORIZATION"] = as_sent(authorization)
    with override_settings(SMOKETEST_ANONYMOUS=drawn.draw(levels)):
        check(drawn.draw(methods), drawn.draw(queries), sent)


def say(said: Any, message: str, way: str, format: str) -> None:
    """One example of a message, in a format, to somebody who may see all of it."""
    said.message, said.way = message, way
    trusted = {"HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}
    check("GET", f"format={format}", trusted)


def test_no_request_gets_anything_but_a_report_or_a_refusal(said: Any) -> None:
    usual(given(st.data())(lambda data: ask(said, data)))()


def test_no_message_of_a_test_breaks_a_report_or_tells_a_secret(said: Any) -> None:
    formats = st.sampled_from(renderers.formats())
    usual(given(secret_texts, ways, formats)(lambda m, w, f: say(said, m, w, f)))()


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_no_request_of_thousands_gets_anything_but_a_report(said: Any, share: int) -> None:
    nightly(given(st.data())(lambda data: ask(said, data)))()


@pytest.mark.slow
@pytest.mark.parametrize("share", range(SHARES))
def test_no_message_of_thousands_breaks_a_report_or_tells_a_secret(said: Any, share: int) -> None:
    formats = st.sampled_from(renderers.formats())
    nightly(given(secret_texts, ways, formats)(lambda m, w, f: say(said, m, w, f)))()


# -- what the page on safety says that a stranger can cause at worst

SAFETY = Path(__file__).parent.parent / "docs" / "explanation" / "safety.md"


def stated() -> dict[str, float]:
    """The numbers of the table, by what they count."""
    _, _, section = SAFETY.read_text().partition("## What an anonymous caller can cause at worst")
    rows = re.findall(r"(?m)^\| (.+?) \| (\d+) \|", section)
    return {what: float(number) for what, number in rows}


def test_the_worst_that_the_documentation_states_is_what_the_code_allows() -> None:
    defaults = {setting.name: setting.default for setting in conf.SETTINGS}
    assert stated() == {
        "runs at the same time": 1,
        "seconds that a run takes": defaults["SMOKETEST_DEADLINE"],
        "seconds that a test takes": defaults["SMOKETEST_TIMEOUT"],
        "tests at the same time": defaults["SMOKETEST_PARALLEL"],
        "connections to one database": defaults["SMOKETEST_MAX_CONNECTIONS"],
        "seconds that a test waits for a lock of the site": defaults["SMOKETEST_LOCK_TIMEOUT"],
        "reports kept in memory": sharing.MOST_KEPT,
        "seconds for which a failing report is kept": sharing.FAILING_SECONDS,
        "characters of `Accept` that are read": negotiation.LONGEST_HEADER,
        "patterns of a request, `k`": query.MOST_PATTERNS,
        "characters of a pattern": query.LONGEST_PATTERN,
        "characters of a wrong word that are repeated": selection._LONGEST,
    }
    assert selection._LONGEST == query._LONGEST == renderers._LONGEST_NAME


GREEDY = """
    import threading
    from smoketest import SmokeTest
    from tests.testapp.models import Item

    go_on, counting = threading.Event(), threading.Lock()
    inside, most = 0, 0

    def stay():
        global inside, most
        with counting:
            inside += 1
            most = max(most, inside)
        go_on.wait(30)
        with counting:
            inside -= 1

    class GreedyTest(SmokeTest):
        pass

    for number in range(24):
        def test(self):
            if USES_DATABASE:
                Item.objects.count()
            stay()
        setattr(GreedyTest, f"test_{number:02}", test)
"""

CONNECTIONS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = database()",
}


@pytest.mark.parametrize("vendor", CONNECTIONS, indirect=True)
@pytest.mark.parametrize(
    ("uses", "what"),
    [("True", "connections to one database"), ("False", "tests at the same time")],
)
def test_what_a_stranger_causes_at_the_same_time_is_what_the_documentation_states(
    make_app: MakeApp, vendor: str, outside: Outside, uses: str, what: str
) -> None:
    make_app(f"greedy{uses.lower()}", {"smoke.py": GREEDY.replace("USES_DATABASE", uses)})
    greedy = import_module(f"greedy{uses.lower()}.smoke")

    def connected() -> int:
        return int(outside(CONNECTIONS[vendor])[0][0])

    before = connected()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: Client().get("/smoketest/").status_code)
        until(lambda: greedy.inside == stated()[what])
        assert connected() - before == (stated()[what] if uses == "True" else 0)
        greedy.go_on.set()
        assert answer.result(60) == 200
    assert greedy.most == stated()[what]


def test_a_hundred_strangers_at_once_cause_one_run(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "smoketest")
    make_app("crowd", {"smoke.py": CROWD})
    go_on = import_module("crowd.smoke").go_on

    def ask() -> int:
        return Client().get("/smoketest/").status_code

    with ThreadPoolExecutor(100) as pool:
        answers = [pool.submit(ask) for _ in range(100)]
        until(lambda: sharing._sharing._flight is not None)
        until(lambda: sharing._sharing._flight.awaited == 99)  # type: ignore[union-attr]
        go_on.set()
        assert [answer.result(30) for answer in answers] == [200] * 100
    assert [record.levelname for record in caplog.records] == ["INFO"]


@pytest.mark.parametrize("vendor", CONNECTIONS, indirect=True)
def test_strangers_who_wait_hold_no_connection_though_they_come_with_a_session(
    make_app: MakeApp, vendor: str, outside: Outside
) -> None:
    make_app(f"waiting{vendor}", {"smoke.py": CROWD})
    go_on = import_module(f"waiting{vendor}.smoke").go_on

    def ask() -> int:
        client = Client()
        client.cookies["sessionid"] = "a" * 32  # nobody's, which only the database knows
        return client.get("/smoketest/").status_code

    def connected() -> int:
        return int(outside(CONNECTIONS[vendor])[0][0])

    before = connected()
    with ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(ask) for _ in range(10)]
        until(lambda: sharing._sharing._flight is not None)
        until(lambda: sharing._sharing._flight.awaited == 9)  # type: ignore[union-attr]
        held = connected() - before
        go_on.set()
        assert [answer.result(30) for answer in answers] == [200] * 10
    assert held == 0


@pytest.mark.parametrize("vendor", CONNECTIONS, indirect=True)
def test_what_a_caller_has_not_committed_by_hand_outlasts_the_request(
    make_app: MakeApp, vendor: str
) -> None:
    make_app(f"byhand{vendor}", {"smoke.py": "from smoketest import SmokeTest"})
    transaction.set_autocommit(False)
    try:
        Item.objects.create(name="by hand")
        assert Client().get("/smoketest/").status_code == 500
        assert Item.objects.filter(name="by hand").exists()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def until(condition: Callable[[], bool]) -> None:
    """Return when ``condition`` holds; the threads that it waits for say so nowhere else."""
    patience = monotonic() + 30
    while not condition():
        assert monotonic() < patience
        sleep(0.005)
