"""The site's own pages render, quickly, and what they link to is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from html.parser import HTMLParser
from typing import Annotated, Any
from urllib.parse import unquote, urljoin, urlsplit

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import default_storage
from django.urls import NoReverseMatch, reverse

from .subjects import Probe, listed

Page = str | tuple[Any, ...]


class Pages(Probe):
    """Each page answers with its status and its text, within its time.

    An exception in a view or a template is the error of its test. The pages are asked
    for by ``self.client``, anonymously, without a network: what they write to a database
    is rolled back; what else a ``GET`` does, such as filling a cache, stays.
    """

    abstract = True
    _leaves = "what a `GET` of the page leaves, in a cache or a log; no rows"
    pages: Collection[Page] = ()
    """URL names and paths (``"home"``, ``"/about/"``); with a status and a text that the page
    contains where they matter: ``("admin:login", 200, "Log in")``."""
    status: int = 200
    """HTTP status of those that name none."""
    max_seconds: Annotated[float, "seconds"] = 2.0
    """Seconds that a page may take."""
    crawl: bool = False
    """Whether to ask for the page's own links, scripts, styles and images, one level deep."""
    max_links: Annotated[int, "links"] = 50
    """How many of them."""
    leave_out: Collection[str] = ()
    """Beginnings of paths that are not asked for, such as ``"/logout/"``."""

    @classmethod
    def subjects(cls) -> Iterable[Page]:
        """The pages."""
        return listed(cls.pages, "pages")

    def check_page(self, page: Page) -> None:
        """The page has its status and its text, in time, and no dead links."""
        name, status, text = _parts(page, self.status)
        path = self._path(name)
        start = time.monotonic()
        response = self.client.get(path)
        body = _body(response)
        seconds = time.monotonic() - start
        self._compare_status(path, response, status)
        if text not in body:
            self.fail(
                f"{path} does not contain {text!r}. Its status is right, {status}, and something"
                " else is shown. Open the page and look."
            )
        if seconds > self.max_seconds:
            self.fail(
                f"{path} took {seconds:.2f} s. The probe allows {self.max_seconds:g} s. Look for a"
                " slow query, or raise max_seconds."
            )
        if self.crawl:
            self._crawl(path, body)

    def _path(self, name: str) -> str:
        if name.startswith("/"):
            return name
        with self.explained(
            f"{name!r} is no page",
            "Write a path that begins with a slash, or a URL name without arguments; for a page"
            " of another site, use smoketest.probes.Endpoints.",
            NoReverseMatch,
        ):
            return reverse(name)

    def _compare_status(self, path: str, response: Any, status: int) -> None:
        if response.status_code != status:
            target = response.headers.get("Location")
            to = f" to {target.partition('?')[0]}" if target else ""
            self.fail(
                f"{path} answered {response.status_code}{to}. The probe expects {status}. Look at"
                " its view and its URL, or give it the status that is right."
            )

    # -- links

    def _crawl(self, path: str, body: str) -> None:
        dead = [
            f"{link} ({status})" for link, status in self._statuses(path, body) if status >= 400
        ]
        if dead:
            self.fail(
                f"{path} has {len(dead)} dead links: {', '.join(dead)}. Visitors of the page meet"
                " them. Repair the links or what they lead to."
            )

    def _statuses(self, path: str, body: str) -> Iterator[tuple[str, int]]:
        client = self.client_class(raise_request_exception=False)
        links = [
            link for link in own_links(path, body) if not link.startswith(tuple(self.leave_out))
        ]
        for link in links[: self.max_links]:
            response = client.get(link)
            response.close()
            missing = response.status_code == 404 and not _is_stored(link)
            yield (
                link,
                404 if missing else 200 if response.status_code == 404 else response.status_code,
            )


def own_links(path: str, body: str) -> list[str]:
    """Return the paths of this site that the page names, each once, in its order."""
    parser = _Links()
    parser.feed(body)
    links = []
    for found in parser.found:
        joined = urlsplit(urljoin(f"//{_HERE}{path}", found.strip()))
        if joined.netloc == _HERE and joined.scheme in {"", "http", "https"}:
            links.append(joined.path + (f"?{joined.query}" if joined.query else ""))
    return [link for link in dict.fromkeys(links) if link != path]


_HERE = "the-page-itself.invalid"
_ATTRIBUTES = {("a", "href"), ("link", "href"), ("script", "src"), ("img", "src")}


class _Links(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take the attribute that is an address."""
        self.found += [value for name, value in attributes if value and (tag, name) in _ATTRIBUTES]


def _is_stored(link: str) -> bool:
    """Whether it is a static or an uploaded file, which a web server may serve instead of us."""
    stored: list[tuple[str | None, Callable[[str], bool]]] = [
        (settings.STATIC_URL, _is_static),
        (settings.MEDIA_URL, default_storage.exists),
    ]
    path = unquote(urlsplit(link).path)
    for prefix, exists in stored:
        if prefix and prefix != "/" and path.startswith(prefix):
            return exists(path.removeprefix(prefix))
    return False


def _is_static(name: str) -> bool:
    try:
        return staticfiles_storage.exists(name)
    except ImproperlyConfigured:  # without STATIC_ROOT, where runserver serves what is found
        return finders.find(name) is not None


def _parts(page: Page, status: int) -> tuple[str, int, str]:
    """Return name, status and text of a page. Raises ``TypeError`` where it is no page."""
    match (page,) if isinstance(page, str) else page:
        case (str(name),):
            return name, status, ""
        case (str(name), int(own)):
            return name, own, ""
        case (str(name), int(own), str(text)):
            return name, own, text
    raise TypeError(
        f"{page!r} is no page: it is a URL name or a path, which a status, as a number, and a text"
        ' may follow. Write for example "home" or ("admin:login", 200, "Log in").'
    )


def _body(response: Any) -> str:
    content = b"".join(response) if response.streaming else response.content
    return str(content.decode(response.charset, errors="replace"))
