"""The page as people meet it: in a browser, on the example shop behind a real server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from smoketest.fleet import Answer, merge
from smoketest.renderers.html import HTMLRenderer
from smoketest.results import Outcome
from tests import browsers
from tests.projects import REPOSITORY, Project, Served
from tests.reports import report, result
from tests.shop import EXAMPLE, Shop
from tests.test_callers import until_there
from tests.test_page_nodes import answer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

PHOTOS = "shop.smoke.photos.PhotosTest"
MOUNTED = f"{PHOTOS}.test_folder_is_mounted"
CATALOGUE = "shop.smoke.catalogue.CatalogueTest"
NARROW = {"width": 375, "height": 700}
BEARER = {"Authorization": f"Bearer {browsers.TOKEN}"}


class Site:
    """The shop behind its server, and the ways in which it can be well or not."""

    def __init__(self, server: Served, media: Path) -> None:
        self._media = media
        self.url = f"http://127.0.0.1:{server.port}/smoketest/"

    def unmount(self) -> None:
        """Take away the folder with the photos."""
        self._media.rename(self._media.with_name("unmounted"))

    def mount(self) -> None:
        """Bring it back."""
        unmounted = self._media.with_name("unmounted")
        if unmounted.exists():
            unmounted.rename(self._media)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        with browsers.chromium() as started, pytest.MonkeyPatch.context() as patch:
            # Playwright runs an event loop beneath these tests, on which Django refuses
            # even to close what tests of other files have left open.
            patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
            yield started
    except browsers.Unavailable as error:
        if browsers.is_required():
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def shop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    # It asks for the browser first: without one nothing else has to be made.
    return Shop.on_sqlite(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def number(shop: Shop) -> int:
    """How many tests of the shop run; one is skipped."""
    return len(shop.manage("smoketest --list").stdout.splitlines()) - 1


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(EXAMPLE / "media", tmp_path_factory.mktemp("files") / "media"))


@pytest.fixture(scope="module")
def server(shop: Shop, media: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("log") / "server"
    with browsers.served(shop, log, SHOP_MEDIA_ROOT=str(media)) as server:
        yield server


@pytest.fixture
def site(server: Served, media: Path) -> Iterator[Site]:
    site = Site(server, media)
    yield site
    site.mount()


Open = Callable[..., "Page"]

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Open an address in a context of its own: ``opened(url, color_scheme="dark")``.

    At the end nothing may have been asked of another host, no script may have failed,
    and nothing may have been refused by the policy of the page.
    """
    contexts, complaints, asked = [], [], []

    def open_(url: str, *, trusted: bool = True, **options: Any) -> Page:
        options.setdefault("viewport", {"width": 1000, "height": 800})
        if trusted:
            options["extra_http_headers"] = BEARER
        context = browser.new_context(**options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    # A report of a failure is no page that failed to load.
    assert [text for text in complaints if "Failed to load resource" not in text] == []
    assert [url for url in asked if not url.startswith(("http://127.0.0.1:", "file:"))] == []


def test(page: Page, name: str) -> Locator:
    """The row of a test."""
    return page.locator(f'[id="{name}"]')


test.__test__ = False  # type: ignore[attr-defined]


def shown(page: Page) -> list[str]:
    """The names of the tests that can be seen, from top to bottom."""
    script = """() => [...document.querySelectorAll("#results .test .name")].filter(
        (name) => name.checkVisibility({contentVisibilityAuto: true, visibilityProperty: true})
        && name.getBoundingClientRect().height).map((name) => name.textContent)"""
    names: list[str] = page.evaluate(script)
    return names


def results(page: Page) -> str:
    """All that the page says of the tests, folded or not, less what differs every time."""
    script = r"""() => {
        const copy = document.querySelector("#results").cloneNode(true);
        for (const time of copy.querySelectorAll(".duration, .bar")) time.remove();
        return copy.textContent.replace(/\s+/g, "");
    }"""
    text: str = page.evaluate(script)
    return text


def until(locator: Locator) -> Any:
    """Wait for what is expected of ``locator``."""
    from playwright.sync_api import expect

    return expect(locator)


def header(page: Page) -> list[str]:
    return [page.title(), page.inner_text("h1"), page.get_attribute("header", "class") or ""]


# -- what it says


def test_a_pass_says_so_in_words_in_the_title_and_with_its_icon(
    site: Site, opened: Open, number: int
) -> None:
    page = opened(site.url)
    words = f"PASS — {number} of {number} tests passed, 1 skipped"
    assert header(page) == [words, words, "PASS"]
    assert page.get_attribute("link[rel=icon]", "id") == "icon-PASS"
    assert page.locator("h1 path:visible").get_attribute("class") == "of-PASS"
    assert shown(page) == ["test_provider_answers"]  # what passed is folded
    assert page.locator(".group").count() > 3
    page.locator(".group > summary").first.click()
    assert "test_products_can_be_read" in shown(page)
    assert browsers.violations(page) == []


def test_a_failure_stands_first_and_open_with_all_that_helps(
    site: Site, opened: Open, shop: Shop, number: int
) -> None:
    site.unmount()
    page = opened(site.url)
    assert header(page)[0] == f"FAIL — 1 of {number} tests failed, 1 errored, 1 warning, 1 skipped"
    assert page.get_attribute("link[rel=icon]", "id") == "icon-FAIL"
    assert shown(page)[:2] == ["test_folder_is_mounted", "test_photos_can_be_read"]
    failure = test(page, MOUNTED)
    text = failure.inner_text()
    assert "media is missing" in text
    assert "shop/smoke/photos.py:" in text
    assert "in test_folder_is_mounted" in text
    assert failure.locator(".runbook a").get_attribute("href") == (
        "https://wiki.example.com/shop/photos"
    )
    line = failure.locator(".command code").inner_text()
    assert line == f"python manage.py smoketest {MOUNTED}"
    ended = shop.manage(line.removeprefix("python manage.py "), SHOP_MEDIA_ROOT="/not/mounted")
    assert "FAIL: 1 of 1 test failed" in ended.stdout
    assert browsers.violations(page) == []


def test_show_all_shows_the_frames_that_are_not_the_projects(site: Site, opened: Open) -> None:
    site.unmount()
    page = opened(site.url)
    failure = test(page, f"{PHOTOS}.test_photos_can_be_read")
    hidden = failure.locator(".all pre").first
    assert not hidden.is_visible()
    failure.get_by_text("Show all frames").first.click()
    assert "django/core/files/storage" in hidden.inner_text()
    assert "django/core/files/storage" not in failure.locator(".traceback").inner_text()


def test_a_stranger_sees_what_became_of_each_test_and_how_to_see_why(
    site: Site, opened: Open, number: int
) -> None:
    site.unmount()
    page = opened(site.url, trusted=False)
    assert header(page)[0] == f"FAIL — 1 of {number} tests failed, 1 errored, 1 warning, 1 skipped"
    assert shown(page)[0] == "test_folder_is_mounted"
    assert "Authorization: Bearer TOKEN" in page.inner_text(".hint")
    for secret in ("is missing", "photos.py", "Traceback", "wiki.example", "Process"):
        assert secret not in page.inner_text("body")
    assert browsers.violations(page) == []


def test_where_nothing_is_selected_it_shows_how_to_write_the_first_test(
    site: Site, opened: Open
) -> None:
    page = opened(f"{site.url}?tag=photos&exclude-tag=photos")
    assert header(page)[0] == "FAIL — no test ran"
    assert "class DatabaseTest(SmokeTest):" in page.inner_text("main pre")
    assert browsers.violations(page) == []


# -- where it is looked at


@pytest.mark.parametrize("wrong", [False, True], ids=["pass", "fail"])
def test_in_the_dark_it_is_dark_and_can_be_read(site: Site, opened: Open, wrong: bool) -> None:
    if wrong:
        site.unmount()
    page = opened(site.url, color_scheme="dark")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(17, 20, 24)"
    assert browsers.violations(page) == []


def test_at_375_pixels_nothing_has_to_be_scrolled_sideways(site: Site, opened: Open) -> None:
    site.unmount()
    page = opened(site.url, viewport={"width": 375, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert browsers.violations(page) == []


def test_without_javascript_all_of_it_can_be_read(site: Site, opened: Open, number: int) -> None:
    site.unmount()
    page = opened(site.url, java_script_enabled=False)
    assert page.title() == f"FAIL — 1 of {number} tests failed, 1 errored, 1 warning, 1 skipped"
    assert "media is missing" in page.inner_text("main")
    for needs_script in ("#again", "#search", ".copy >> nth=0"):
        assert not page.locator(needs_script).is_visible()
    page.locator("#counters >> text=passed").click()
    assert page.url.endswith("#show=passed")
    group = page.locator(".group").first
    assert not group.locator(".name").first.is_visible()
    group.locator("summary").click()
    assert group.locator(".name").first.is_visible()
    assert "before this page was made" in page.inner_text("header")


def test_printed_it_is_complete(site: Site, opened: Open, number: int) -> None:
    site.unmount()
    page = opened(f"{site.url}#show=failed")
    assert len(shown(page)) == 1
    page.emulate_media(media="print")
    assert len(shown(page)) == number + 1
    assert not page.locator("#again").is_visible()


def test_saved_it_is_complete_and_asks_nobody(site: Site, opened: Open, tmp_path: Path) -> None:
    site.unmount()
    page = opened(site.url)
    saved = tmp_path / "report.html"
    saved.write_text(page.content())
    again = opened(saved.as_uri(), trusted=False)
    assert header(again) == header(page)
    assert results(again) == results(page)
    assert not again.locator("#again").is_visible()


# -- finding something in it


def test_the_counters_filter_and_the_address_keeps_the_filter(
    site: Site, opened: Open, number: int
) -> None:
    site.unmount()
    page = opened(f"{site.url}?exclude-tag=network")
    page.locator("#counters >> text=warning").click()
    assert shown(page) == ["test_there_is_space_for_more"]
    assert page.url == f"{site.url}?exclude-tag=network#show=warned"
    assert page.locator("#counters [aria-current]").inner_text() == "1 warning"
    assert page.inner_text("#counter") == f"1 of {number} tests shown"
    page.reload()
    assert shown(page) == ["test_there_is_space_for_more"]
    page.locator("#counters >> text=passed").click()
    assert "test_products_can_be_read" in shown(page)  # unfolded
    page.locator("#counters >> text=all").click()
    assert "test_products_can_be_read" not in shown(page)  # folded as before
    assert page.url == f"{site.url}?exclude-tag=network"


def test_the_search_narrows_and_the_address_keeps_it(site: Site, opened: Open, number: int) -> None:
    site.unmount()
    page = opened(site.url)
    page.get_by_label("Search").fill("PRODUCTS_CAN_BE")
    expected = ["test_products_can_be_read", "test_products_can_be_read_by_async_code"]
    assert shown(page) == [*expected, "test_products_can_be_written"]
    page.get_by_label("Search").fill("is missing")  # in a message
    assert shown(page) == ["test_folder_is_mounted"]
    assert page.inner_text("#counter") == f"1 of {number + 1} tests shown"
    page.reload()
    assert page.get_by_label("Search").input_value() == "is missing"
    assert shown(page) == ["test_folder_is_mounted"]


def test_each_test_has_an_address_that_unfolds_it(site: Site, opened: Open) -> None:
    page = opened(f"{site.url}#{CATALOGUE}.test_every_price_is_positive")
    assert "test_every_price_is_positive" in shown(page)
    page = opened(site.url)
    page.locator(".group > summary").first.click()
    page.get_by_label("Link to test_products_can_be_written").click()
    assert page.url == f"{site.url}#{CATALOGUE}.test_products_can_be_written"


def test_the_keyboard_is_enough(site: Site, opened: Open) -> None:
    site.unmount()
    page = opened(site.url)

    def focus() -> str:
        text: str = page.evaluate("document.activeElement.innerText || document.activeElement.id")
        return text

    def tab_to(text: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if text in focus():
                return
        pytest.fail(f"no way to {text!r} with the Tab key; last at {focus()!r}")

    page.keyboard.press("Tab")
    assert focus() == "Skip to the results"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "results"
    page.reload()
    tab_to("passed")
    page.keyboard.press("Enter")
    assert page.url.endswith("#show=passed")
    tab_to("search")
    page.keyboard.type("async")
    assert shown(page) == ["test_products_can_be_read_by_async_code"]


def test_the_command_line_can_be_copied(site: Site, opened: Open) -> None:
    site.unmount()
    page = opened(site.url, permissions=["clipboard-read", "clipboard-write"])
    button = test(page, MOUNTED).get_by_role("button", name="Copy")
    button.click()
    until(test(page, MOUNTED).locator(".copy")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"python manage.py smoketest {MOUNTED}"


# -- run again


def run_again(page: Page) -> None:
    """Click, and wait for the end."""
    page.click("#again")
    page.wait_for_selector("#again:enabled")


@pytest.mark.parametrize("broken_before", [True, False], ids=["repaired", "broken"])
def test_run_again_makes_the_page_that_the_server_would_make(
    site: Site, opened: Open, broken_before: bool
) -> None:
    change = [site.unmount, site.mount]
    change[not broken_before]()
    page = opened(f"{site.url}?exclude-tag=network")
    before = header(page)
    change[broken_before]()
    run_again(page)
    assert header(page) != before
    ran, said, icon = results(page), header(page), page.get_attribute("link[rel=icon]", "id")
    assert page.inner_text("#counter") == said[0]
    assert browsers.violations(page) == []
    page.reload()
    assert said == header(page)
    assert ran == results(page)
    assert icon == page.get_attribute("link[rel=icon]", "id")


def test_run_again_on_the_page_of_the_last_run_runs(site: Site, opened: Open) -> None:
    opened(f"{site.url}?exclude-tag=network")
    page = opened(f"{site.url}?exclude-tag=network&latest=1&max-age=500")
    before = page.inner_text("#whose dd")
    assert before.startswith("cached: the run ended")
    assert page.locator(".strip li").count() > 0
    run_again(page)
    assert page.locator("#whose").is_hidden()
    assert browsers.violations(page) == []


WAITING = """
    from pathlib import Path
    from time import sleep
    from smoketest import SmokeTest, sharing, timeout

    class WaitingTest(SmokeTest):
        def test_fast(self):
            pass

        @timeout(25)
        def test_slow(self):
            Path("begun").touch()
            while not Path("may_end").exists():
                if sharing._sharing._flight.awaited:
                    Path("joined").touch()
                sleep(0.02)

    class ZooTest(SmokeTest):
        def test_late(self):
            pass
"""
SLOW = "shop.smoke.WaitingTest.test_slow"


@pytest.fixture
def waiting(browser: Browser, tmp_path: Path) -> Project:
    """A project whose run lasts until there is a file ``may_end``; it begins with one test."""
    project = Project(tmp_path, "SMOKETEST_PARALLEL = 1")
    project.smoke(WAITING)
    (tmp_path / "may_end").touch()
    return project


def begin_run(page: Page, project: Project) -> None:
    """Click, and return when the slow test runs."""
    (project.folder / "may_end").unlink(missing_ok=True)
    (project.folder / "begun").unlink(missing_ok=True)
    page.click("#again")
    until(test(page, SLOW).locator(".label")).to_have_text("running")


def url(server: Served) -> str:
    return f"http://127.0.0.1:{server.port}/smoketest/"


def test_while_it_runs_each_test_stands_in_its_place(waiting: Project, opened: Open) -> None:
    with waiting.served_by("gunicorn") as server:
        page = opened(url(server), trusted=False)
        before = shown(page)
        begin_run(page, waiting)
        labels = page.locator("#results .label").all_inner_texts()
        assert labels == ["passed", "running", "waiting"]
        assert before == []
        assert shown(page) == ["test_fast", "test_slow", "test_late"]
        assert page.locator("#again").is_disabled()
        assert page.get_attribute("#time", "max") == "25"
        until(page.locator("#counter")).to_have_text("1 of 3 tests done")
        assert page.title() == "PASS — 3 of 3 tests passed"  # until the end, that of before
        assert browsers.violations(page) == []
        (waiting.folder / "may_end").touch()
        page.wait_for_selector("#again:enabled")
        assert not page.locator("#time").is_visible()
        assert page.inner_text("#counter") == "PASS — 3 of 3 tests passed"


@pytest.mark.parametrize("name", ["gunicorn", "uvicorn"])
def test_a_lost_connection_says_so_and_keeps_the_old_result(
    waiting: Project, opened: Open, name: str
) -> None:
    with waiting.served_by(name) as server:
        page = opened(url(server), trusted=False)
        before = header(page), results(page), shown(page)
        begin_run(page, waiting)
        server.kill()
        page.wait_for_selector("#again:enabled")
        lost = "The connection was lost: 1 of 3 tests done."
        assert page.inner_text("#counter") == f"{lost} What stands here is the result of before."
        assert (header(page), results(page), shown(page)) == before
        run_again(page)  # nobody answers at all
        assert page.inner_text("#counter").startswith("The connection was lost: 0 of 3 tests done.")
        assert (header(page), results(page), shown(page)) == before


@pytest.mark.parametrize("name", ["gunicorn", "uvicorn"])
def test_who_comes_during_a_run_is_told_that_its_report_is_shared(
    waiting: Project, opened: Open, name: str
) -> None:
    with waiting.served_by(name) as server:
        first, second = (opened(url(server), trusted=False) for _ in range(2))
        begin_run(first, waiting)
        second.click("#again")
        until(second.locator(".test.waiting")).to_have_count(3)
        until_there(waiting.folder / "joined")
        (waiting.folder / "may_end").touch()
        for page in (first, second):
            page.wait_for_selector("#again:enabled")
        assert not first.locator("#whose").is_visible()
        assert second.inner_text("#whose") == "Report\nshared: the run was under way when you came"
        assert results(first) == results(second)
        run_again(second)
        assert not second.locator("#whose").is_visible()


def test_who_sees_the_verdict_only_sees_it_change(opened: Open, tmp_path: Path) -> None:
    project = Project(tmp_path, "SMOKETEST_ANONYMOUS = 'verdict'")
    project.smoke(WAITING.replace("pass", "self.assertFalse(Path('wrong').exists())"))
    (tmp_path / "may_end").touch()
    with project.served_by("gunicorn") as server:
        page = opened(url(server), trusted=False)
        assert header(page) == ["PASS", "PASS", "PASS"]
        assert results(page) == "Thesmoketestsofthissitepassed."
        (tmp_path / "wrong").touch()
        run_again(page)
        assert header(page) == ["FAIL", "FAIL", "FAIL"]
        said = results(page)
        assert browsers.violations(page) == []
        page.reload()
        assert results(page) == said == "Thesmoketestsofthissitedidnotpass."


def test_a_run_that_is_refused_says_why_and_keeps_the_old_result(site: Site, opened: Open) -> None:
    page = opened(site.url)
    page.evaluate("history.replaceState(null, '', '?tag=no-such-tag')")
    before = results(page)
    run_again(page)
    said = page.inner_text("#counter")
    assert "The run did not start (status 400)" in said
    assert "Unknown tag 'no-such-tag'" in said
    assert results(page) == before


def test_who_is_refused_gets_a_page_that_says_why_and_runs_nothing(
    opened: Open, tmp_path: Path
) -> None:
    project = Project(tmp_path, "SMOKETEST_ANONYMOUS = 'deny'")
    project.smoke(WAITING)
    with project.served_by("gunicorn") as server:
        page = opened(url(server), trusted=False, viewport=NARROW)
        assert header(page)[:2] == ["FAIL — no test ran"] * 2
        assert "Send the header 'Authorization: Bearer TOKEN'" in page.inner_text("#remarks")
        assert not page.locator("#again").is_visible()
        assert results(page) == ""
        assert browsers.violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not (tmp_path / "begun").exists()


# -- a fleet


@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, {"viewport": NARROW}])
def test_the_page_of_a_fleet_can_be_read_everywhere(
    opened: Open, tmp_path: Path, options: dict[str, Any]
) -> None:
    silent = Answer(node="celery@worker-with-a-long-name-1", role="worker", problem="It is gone.")
    fleet = merge([answer("web-1"), answer("web-2", "test_a", release="r1"), silent])
    (tmp_path / "fleet.html").write_text(HTMLRenderer().render(fleet))
    page = opened(f"file://{tmp_path}/fleet.html", **options)
    assert browsers.violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not page.locator("#again").is_visible()
    page.locator(".matrix td.failed a").click()
    failure = test(page, "module1.smoke.DemoTest.test_a")
    until(failure).to_be_in_viewport()
    assert "On web-2" in failure.inner_text()
    page.fill("#search", "worker-with")
    assert shown(page) == ["answer"]
    assert page.inner_text("#counter") == "1 of 6 tests shown"


def test_printed_no_table_is_cut_off(opened: Open, tmp_path: Path) -> None:
    silent = Answer(node=f"celery@{'a' * 150}", role="worker", problem="It is gone. " * 20)
    bad = report(*(result(f"test_{'a' * 30}{n}", Outcome.FAILED) for n in range(10)))
    fleet = merge([answer("web-1", release="r" * 150), answer("web-2"), silent])
    seen = replace(fleet, recent=(bad.as_past(), bad.as_past()))
    (tmp_path / "seen.html").write_text(HTMLRenderer().render(seen))
    page = opened(f"file://{tmp_path}/seen.html", viewport={"width": 794, "height": 1123})
    page.locator(".history summary").click()
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# -- where there is no browser


def without_chromium(**variables: str) -> subprocess.CompletedProcess[str]:
    """What becomes of one of these tests where Chromium is not on the path."""
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    one = f"{__file__}::test_at_375_pixels_nothing_has_to_be_scrolled_sideways"
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "slow", one],
        cwd=REPOSITORY,
        env=environment | {"PATH": "/nothing/here"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_chromium_its_tests_are_skipped_in_one_line() -> None:
    done = without_chromium()
    assert done.returncode == 0, done.stdout
    [line] = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert "'apt-get install chromium' has it" in line


def test_without_chromium_its_tests_fail_in_ci() -> None:
    done = without_chromium(CI="true")
    assert done.returncode == 1
    assert "Chromium is not installed" in done.stdout
