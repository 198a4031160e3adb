"""Asks nodes over HTTP: many at a time, all before one deadline, none for too much.

``problems`` says what came of it where that is no report. These two know httpx (the extra
``gate``).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from smoketest import __version__
from smoketest.arguments import InvalidArgument
from smoketest.fleet import Answer
from smoketest.options import WEB
from smoketest.results import Report

from . import problems
from .addresses import PORTS, Address
from .reading import Cleanse, NoReport, Received, WrongSelection, excerpt, report

LARGEST = 10_000_000
"""Bytes of an answer that are read. A report has some 500 for a test that passes."""

CONNECT = 10.0
"""Seconds for a connection and its TLS: a node that is gone must not hold up the others."""

REDIRECTS = 5
"""How many are followed in a row."""

PAUSE = 1.0
"""Seconds until a busy node is asked again, at least, and where it does not say when."""

HEADERS = {
    "Accept": "application/json",
    # What is unpacked could be much larger than what was sent.
    "Accept-Encoding": "identity",
    "Cache-Control": "no-cache",
    # Behind one address may be many processes; the next request may reach another one.
    "Connection": "close",
    "User-Agent": f"django-smoketest/{__version__} (gate)",
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """How every node is asked."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further ones; the token is among them."""
    ca_file: str | None = None
    """The certificates to trust, in the place of the system's."""
    concurrency: int = 100
    """Nodes that are asked at the same time."""
    deadline: float = 30.0
    """Seconds for all nodes together."""
    cleansed: Cleanse = str
    """Takes the token out of whatever is said."""
    direct: bool = False
    """Whether to pass by the proxies of the environment: they would choose the address."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of asking one node."""

    answer: Answer
    misunderstood: bool = False
    """Whether the node does not know what it was to run."""


@asynccontextmanager
async def asker(question: Question) -> AsyncIterator[Asker]:
    """Yield what asks ``question``, with one client for all nodes.

    The proxies of the environment are used (HTTPS_PROXY, NO_PROXY and so on); a .netrc is
    not. Raises :class:`InvalidArgument` where the certificates cannot be read.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    client = httpx.AsyncClient(
        headers={**HEADERS, **question.headers},
        limits=limits,
        timeout=httpx.Timeout(None, connect=CONNECT),
        verify=_trust(question.ca_file),
        trust_env=not question.direct,
    )
    async with client:
        yield Asker(client, question)


def _trust(ca_file: str | None) -> ssl.SSLContext:
    """Return what checks certificates; made once, for that takes longer than a request."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # also what is no certificate: ssl.SSLError is one
        raise InvalidArgument(
            f"--ca-file names {ca_file!r}, which cannot be used: {error.strerror or error}. Name"
            " a file with certificates in PEM."
        ) from error


class Asker:
    """Asks nodes the same question; made by :func:`asker`."""

    def __init__(self, client: httpx.AsyncClient, question: Question) -> None:
        self._client = client
        self._question = question

    async def ask(
        self,
        addresses: Sequence[Address],
        until: float,
        *,
        on_begin: Callable[[str], None],
        on_reply: Callable[[Reply], None],
    ) -> None:
        """Ask every node, and call back with its name and its reply; raises nothing of its own.

        It is over at ``until``, on the clock of the event loop.
        """
        waiting = iter(addresses)

        async def work() -> None:
            for address in waiting:
                on_begin(address.name)
                on_reply(await self._ask(address, until))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._question.concurrency, len(addresses))):
                group.create_task(work())

    async def _ask(self, address: Address, until: float) -> Reply:
        exchange = _Exchange(self._client, address, self._question)
        problem, misunderstood = address.problem, False
        try:
            if not problem:
                async with asyncio.timeout_at(until):
                    found = await exchange.report(until)
                return Reply(Answer(node=address.name, role=WEB, report=found))
        except NoReport as error:
            problem, misunderstood = str(error), isinstance(error, WrongSelection)
        except TimeoutError:
            problem = exchange.too_late()
        except httpx.InvalidURL as error:
            problem = problems.unusable_url(error)
        except httpx.HTTPError as error:
            problem = exchange.failed(error)
        said = self._question.cleansed(problem)
        return Reply(Answer(node=address.name, role=WEB, problem=said), misunderstood)


class _Exchange:
    """The talk with one node, which knows how far it came."""

    def __init__(self, client: httpx.AsyncClient, address: Address, question: Question) -> None:
        self._client = client
        self._address = address
        self._question = question
        self._connected = False
        self._received: int | None = None

    async def report(self, until: float) -> Report:
        """Return the node's report; ask again while it is busy and there is time."""
        loop = asyncio.get_running_loop()
        while True:
            received = await self._fetch()
            if not received.is_busy:
                return report(received, self._question.cleansed)
            pause = max(PAUSE, received.retry_after or 0.0)
            if loop.time() + pause >= until:
                raise NoReport(self._busy(received))
            await asyncio.sleep(pause)

    async def _fetch(self) -> Received:
        url = httpx.URL(self._address.url)
        for _ in range(REDIRECTS + 1):
            request = self._request(url)
            self._connected, self._received = False, None
            async with aclosing(await self._client.send(request, stream=True)) as response:
                if not response.has_redirect_location:
                    return await self._receive(response)
                url = self._redirected(url, response.headers["Location"])
        raise NoReport(problems.redirects(REDIRECTS))

    def _request(self, url: httpx.URL) -> httpx.Request:
        """Return the request for ``url``, which goes to the one address that is meant."""
        headers: dict[str, str] = {}
        extensions: dict[str, Any] = {"trace": self._trace}
        if self._address.address:
            headers = {"Host": url.netloc.decode("ascii")}
            extensions["sni_hostname"] = url.raw_host.decode("ascii")
            url = url.copy_with(host=self._address.address)
        return self._client.build_request("GET", url, headers=headers, extensions=extensions)

    async def _trace(self, event: str, info: object) -> None:
        # https://www.encode.io/httpcore/extensions/#trace
        if event.endswith("send_request_headers.started"):
            self._connected = True

    def _redirected(self, url: httpx.URL, location: str) -> httpx.URL:
        """Return where a redirect leads; the token goes to no other host and to no other port."""
        target = url.join(location)
        if _stays(url, target):
            return target
        shown = str(target.copy_with(userinfo=b"", query=None, fragment=None))
        raise NoReport(problems.redirects_elsewhere(shown))

    async def _receive(self, response: httpx.Response) -> Received:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding.lower() not in ("", "identity"):
            raise NoReport(problems.packed(encoding))
        parts = []
        self._received = 0
        async for part in response.aiter_raw():
            parts.append(part)
            self._received += len(part)
            if self._received > LARGEST:
                raise NoReport(problems.too_large(LARGEST))
        return Received(
            status=response.status_code,
            body=b"".join(parts),
            media_type=response.headers.get("Content-Type", ""),
            retry_after=_seconds(response.headers.get("Retry-After")),
            age=_age(response.headers.get("Age", "")),
        )

    def _busy(self, received: Received) -> str:
        shown = excerpt(received, self._question.cleansed)
        return problems.busy(received.status, shown, self._question.deadline)

    def too_late(self) -> str:
        """Return what to say when the deadline came first."""
        return problems.too_late(
            self._question.deadline, connected=self._connected, received=self._received
        )

    def failed(self, error: httpx.HTTPError) -> str:
        """Return what to say of an exchange that broke."""
        host = httpx.URL(self._address.url).host
        return problems.broken(error, host, connected=self._connected, patience=CONNECT)


def _stays(url: httpx.URL, target: httpx.URL) -> bool:
    """Whether ``target`` is of the same origin, or the same host with TLS instead of without."""
    if target.userinfo or target.host != url.host:
        return False
    origin, other = ((one.scheme, one.port or PORTS.get(one.scheme)) for one in (url, target))
    return origin == other or (url.scheme, target.scheme) == ("http", "https")


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds of a ``Retry-After``, which may be a date; ``None`` without one."""
    if retry_after is None:
        return None
    if (seconds := _whole(retry_after)) is not None:
        return seconds
    try:
        when = parsedate_to_datetime(retry_after)
    except ValueError:
        return PAUSE
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _age(text: str) -> float:
    """Return the seconds of an ``Age``, 0 where it is none."""
    # https://www.rfc-editor.org/rfc/rfc9111#name-age
    return _whole(text) or 0.0


def _whole(text: str) -> float | None:
    digits = text.strip()
    return float(digits[:9]) if digits.isascii() and digits.isdigit() else None
