"""``self.client``: Django's test client without its process-wide side effects.

Django's client is made for a process that serves nobody. For each request it takes
``close_old_connections`` off the process's signals and puts it back, and it listens to
``got_request_exception``, which also tells it of the errors of live requests in other
threads. The clients here do neither: they send the signals of a request as a server
does, connect and disconnect nothing, and learn of an error from their own request.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, NoReturn

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import LimitedStream, WSGIRequest
from django.core.signals import got_request_exception, request_started
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host
from django.test.client import (
    AsyncClient,
    AsyncClientHandler,
    Client,
    ClientHandler,
    FakePayload,
    conditional_content_removal,
)
from django.urls import resolve, set_script_prefix
from django.utils.functional import SimpleLazyObject

from smoketest.exceptions import Refused

default_host: ContextVar[str | None] = ContextVar("smoketest_default_host", default=None)
"""The ``Host`` of requests that name none; ``None`` derives it from ``ALLOWED_HOSTS``."""


def begin_thread(host: str | None) -> None:
    """Let tests on this thread address the site as its requests do.

    ``host`` is the ``default_host``; and ``reverse`` begins with ``FORCE_SCRIPT_NAME``, which
    Django tells the thread alone that has loaded the settings.
    """
    default_host.set(host)
    if settings.FORCE_SCRIPT_NAME is not None:
        set_script_prefix(settings.FORCE_SCRIPT_NAME)


def site_host() -> str:
    """The ``Host`` to ask the site under: one that its ``ALLOWED_HOSTS`` admits.

    ``default_host`` if that is set; else the first entry of ``ALLOWED_HOSTS`` that is a
    name, where ``.example.com`` stands for ``example.com``; else ``localhost``, which
    ``*`` admits, and so does an empty list under ``DEBUG``.
    """
    return default_host.get() or _first_allowed_name(settings.ALLOWED_HOSTS) or "localhost"


def _first_allowed_name(patterns: Iterable[str]) -> str | None:
    for pattern in patterns:
        name = pattern.removeprefix(".")
        domain, port = split_domain_port(name)
        # By "*.example.com" or "example.com:80" Django admits nothing.
        if domain and not port and validate_host(domain, patterns):
            return name
    return None


# -- errors

_ERRORS = "_smoketest_errors"


def _mark(request: HttpRequest, handler: ClientHandler | AsyncClientHandler) -> None:
    """Make ``request`` one of ours: its errors are noted on it, forms need no CSRF token."""
    setattr(request, _ERRORS, [])
    # The name that CsrfViewMiddleware looks for.
    request._dont_enforce_csrf_checks = not handler.enforce_csrf_checks  # type: ignore[attr-defined]


@receiver(got_request_exception, dispatch_uid="smoketest.client")
def _note_error(request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Note the error that is being handled on its own request, if that is one of ours.

    Connected once, when this module is imported. To a live request it is the look-up
    of one attribute, and only when that request fails.
    """
    errors = getattr(request, _ERRORS, None)
    if errors is not None:
        errors.append(sys.exc_info())


class _WithoutTestRequests(logging.Filter):
    """Keeps the failing requests of tests from those who are mailed the site's errors.

    The error is the test's, and stands in the report and in the log of the run.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        of_a_test = hasattr(getattr(record, "request", None), _ERRORS)
        return record.levelno < logging.ERROR or not of_a_test


logging.getLogger("django.request").addFilter(_WithoutTestRequests())


def _last_error(request: HttpRequest) -> Any:
    """The last error noted on ``request``, as ``sys.exc_info()`` gives it, or ``None``."""
    errors = getattr(request, _ERRORS)
    return errors[-1] if errors else None


# -- handlers

_sites: dict[bool, tuple[tuple[object, ...], BaseHandler]] = {}
_loading = threading.Lock()


def _site(*, is_async: bool) -> BaseHandler:
    """The site's middleware and views, loaded once for the process and its settings.

    Django's client loads the middleware for each client. In production that can cost
    seconds and much memory: WhiteNoise, for one, reads the tree of static files.
    """
    # An override_settings of a project's own tests puts another object in _wrapped.
    made_for = (tuple(settings.MIDDLEWARE), settings._wrapped)  # type: ignore[misc]
    with _loading:
        loaded_for, handler = _sites.get(is_async, (None, None))
        if handler is None or loaded_for != made_for:
            handler = BaseHandler()
            handler.load_middleware(is_async=is_async)
            _sites[is_async] = made_for, handler
        return handler


class SmokeHandler(ClientHandler):
    """Serves a request as a server does: in the caller's thread, context and transaction.

    Receivers of ``request_started`` and ``request_finished`` run as in a live request,
    ``close_old_connections`` among them: it leaves a connection alone that is in the
    transaction of a smoke test.
    """

    def __call__(self, environ: dict[str, Any]) -> Any:
        """Return the response; it is closed, unless it streams."""
        request_started.send(sender=type(self), environ=environ)
        request = WSGIRequest(environ)
        _mark(request, self)
        response: Any = _site(is_async=False).get_response(request)
        conditional_content_removal(request, response)
        response.wsgi_request = request
        if response.streaming:
            _close_when_read(response)
        else:
            response.close()  # sends request_finished
        return response


class SmokeAsyncHandler(AsyncClientHandler):
    """The same along Django's asynchronous path.

    What is synchronous there runs on the thread that waits for the test's coroutine,
    and so in the test's transaction.
    """

    async def __call__(self, scope: dict[str, Any]) -> Any:
        """Return the response; it is closed, unless it streams."""
        body: Any = scope.pop("_body_file") if "_body_file" in scope else FakePayload()
        await request_started.asend(sender=type(self), scope=scope)
        stream: Any = LimitedStream(body, len(body))
        request = ASGIRequest(scope, stream)
        _mark(request, self)
        response: Any = await _site(is_async=True).get_response_async(request)
        conditional_content_removal(request, response)
        response.asgi_request = request
        if response.streaming:
            _close_when_read(response)
        else:
            await sync_to_async(response.close, thread_sensitive=True)()
        return response


def _close_when_read(response: Any) -> None:
    wrap = _then_await_close if response.is_async else _then_close
    response.streaming_content = wrap(response.streaming_content, response.close)


def _then_close(chunks: Iterable[bytes], close: Callable[[], None]) -> Iterator[bytes]:
    try:
        yield from chunks
    finally:
        close()


async def _then_await_close(
    chunks: AsyncIterable[bytes], close: Callable[[], None]
) -> AsyncIterator[bytes]:
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await sync_to_async(close, thread_sensitive=True)()


# -- clients


NOT_RECORDED = (
    "only known where Django's test runner has patched the template engine, which a live process "
    "must not do. Assert on what the response contains, with assertContains."
)
"""Why nobody can ask for templates, and what to do instead."""


class _NotRecorded:
    """Takes the place of what Django's client records of templates; whoever asks it is told."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<{self._name}: not recorded>"

    def _refuse(self, *args: object) -> NoReturn:
        raise Refused(
            f"{self._name} was used. Which templates are rendered, and with what, is {NOT_RECORDED}"
        )

    __getattr__ = __getitem__ = __contains__ = __iter__ = __len__ = _refuse


class _SiteClient:
    """What both clients have in common: how a request is addressed, what a response gets."""

    def generic(
        self,
        method: str,
        path: Any,
        data: Any = "",
        content_type: str = "application/octet-stream",
        secure: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Make a request, over HTTPS where ``SECURE_SSL_REDIRECT`` would send it there."""
        secure = secure or settings.SECURE_SSL_REDIRECT
        parent: Any = super()
        return parent.generic(method, path, data, content_type, secure, **kwargs)

    def _complete(self: Any, response: Any, served: HttpRequest, request: Any) -> Any:
        """Raise the request's error, else give ``response`` what Django's client gives it.

        Nobody records templates here, and with an empty list of them
        ``assertTemplateNotUsed`` would pass whatever was rendered.
        """
        self.exc_info = _last_error(served)
        self.check_exception(response)
        response.client = self
        response.request = request
        response.context = _NotRecorded("response.context")
        response.templates = _NotRecorded("response.templates")
        response.json = partial(self._parse_json, response)
        urlconf = getattr(served, "urlconf", None)
        response.resolver_match = SimpleLazyObject(
            lambda: resolve(served.path_info, urlconf=urlconf)
        )
        self.cookies.update(response.cookies)
        return response


class SmokeClient(_SiteClient, Client):  # type: ignore[misc] # generic() serves both clients
    """Django's test client, safe to use in a process that serves live requests.

    What differs from ``django.test.Client``:

    * The ``Host`` is one that ``ALLOWED_HOSTS`` admits (see ``site_host``). Another one is
      given as ever: ``headers={"host": "b.example"}``, ``HTTP_HOST`` or ``SERVER_NAME``.
    * With ``SECURE_SSL_REDIRECT`` each request is one over HTTPS. To see the redirect
      itself: ``self.client.get("/", **{"wsgi.url_scheme": "http"})``.
    * A path may begin with ``FORCE_SCRIPT_NAME``, as ``reverse`` and redirects give it.
    * ``response.context`` and ``response.templates`` are refused: to record them, Django
      replaces the rendering of templates in the whole process.
    * The site's middleware is loaded once for the process, not for each client.

    A request runs in the caller's thread, and so in the test's transaction. An error in
    a view, a middleware or a template is raised here, as the same exception object,
    unless ``raise_request_exception`` is false.

    Sessions in the database are rolled back, and so are ``login`` and ``force_login``.
    What is not: a session in the cache or in a file, a mail that a view sends, and all
    else that a view does outside of the databases.
    """

    def __init__(
        self, enforce_csrf_checks: bool = False, raise_request_exception: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(enforce_csrf_checks, raise_request_exception, **kwargs)
        self.handler = SmokeHandler(enforce_csrf_checks)

    def _base_environ(self, **request: Any) -> dict[str, Any]:
        given = {**self.defaults, **request}
        if "HTTP_HOST" not in given and "SERVER_NAME" not in given:
            host = site_host()
            given.update(HTTP_HOST=host, SERVER_NAME=split_domain_port(host)[0] or host)
        environ: dict[str, Any] = super()._base_environ(**given)  # type: ignore[misc]
        environ["PATH_INFO"] = _below_mount(environ["PATH_INFO"])
        return environ

    def request(self, **request: Any) -> Any:
        """Make the request that this environ describes; raises what its view raised."""
        response = self.handler(self._base_environ(**request))
        return self._complete(response, response.wsgi_request, request)


def _mount() -> str:
    """Where the site is: ``FORCE_SCRIPT_NAME`` without a slash at its end, or nothing."""
    return (settings.FORCE_SCRIPT_NAME or "").rstrip("/")


def _below_mount(path: str) -> str:
    """Return ``path`` as a WSGI server gives it to the site, whether it has the mount or not."""
    mount = _mount()
    return path.removeprefix(mount) if f"{path}/".startswith(f"{mount}/") else path


class SmokeAsyncClient(_SiteClient, AsyncClient):  # type: ignore[misc] # as above
    """``SmokeClient`` for ``async def`` tests: Django's ``AsyncClient``, safe in the same way.

    It goes along the path of an ASGI server, whatever serves the site. Keywords become
    headers here, as in Django, so another host is given by ``headers={"host": ...}``.
    """

    def __init__(
        self, enforce_csrf_checks: bool = False, raise_request_exception: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(enforce_csrf_checks, raise_request_exception, **kwargs)
        self.handler = SmokeAsyncHandler(enforce_csrf_checks)

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._base_scope(**request)  # type: ignore[misc]
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        # AsyncRequestFactory puts this one first, also before a host that was asked for;
        # ASGIRequest would join the two with a comma.
        if hosts[:1] == [b"testserver"]:
            hosts = hosts[1:]
        host = hosts[-1] if hosts else site_host().encode("ascii")
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [(b"host", host), *others]
        scope["path"] = _mount() + _below_mount(scope["path"])  # an ASGI server's has it
        return scope

    async def request(self, **request: Any) -> Any:
        """Make the request that this scope describes; raises what its view raised."""
        response = await self.handler(self._base_scope(**request))
        return self._complete(response, response.asgi_request, request)
