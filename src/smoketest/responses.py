"""A report, a text or a stream as an HTTP response: status, headers and encoding.

What is in a report and who may see it is decided before.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from smoketest import renderers, streaming
from smoketest.results import Report

HEADERS = {
    "Cache-Control": "no-store, private",
    "Vary": "Accept, Authorization, Cookie",
    "X-Robots-Tag": "noindex",
}
"""On every response, whatever its status."""


def of_report(
    report: Report, renderer: renderers.Renderer, fail_status: int, *, exactly: bool = False
) -> HttpResponse:
    """Return the response to a run: 200, or ``fail_status`` where it did not pass.

    A format that is always 200 is not so where ``exactly`` this status is meant.
    """
    passed = report.passed or (getattr(renderer, "always_200", False) and not exactly)
    response = of_text(renderer.render(report), renderer, 200 if passed else fail_status)
    mark_as_logged(response)
    return response


def of_text(text: str, renderer: renderers.Renderer, status: int) -> HttpResponse:
    """Return ``text``, which is in the format of ``renderer``."""
    response = HttpResponse(
        text.encode(renderer.charset, "backslashreplace"),
        status=status,
        content_type=_content_type(renderer),
    )
    policy = getattr(renderer, "content_security_policy", None)
    if policy:
        response["Content-Security-Policy"] = policy
    return response


def of_either(renderer: renderers.Renderer, text: str, as_json: str, status: int) -> HttpResponse:
    """Return ``as_json`` to who asked for JSON of some kind, else ``text``."""
    if "json" in renderer.media_type:
        return of_text(as_json, renderers.get("json"), status)
    return of_text(text, renderers.get("text"), status)


def of_stream(
    stream: streaming.Stream, renderer: renderers.Renderer, *, asynchronous: bool
) -> StreamingHttpResponse:
    """Return the response to a run that is under way: 200, for its end is not known."""
    body = streaming.AsyncLines(stream) if asynchronous else streaming.Lines(stream)
    response = StreamingHttpResponse(body, content_type=_content_type(renderer))
    # GZipMiddleware of Django 5.2 and 6.0 holds chunks back, and leaves alone what has an
    # encoding: https://github.com/django/django/blob/5.2/django/middleware/gzip.py
    response["Content-Encoding"] = "identity"
    # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
    response["X-Accel-Buffering"] = "no"
    return response


def mark_as_logged(response: HttpResponse) -> None:
    """Keep the response out of the log of ``django.request``, which mails ADMINS each 500.

    The logger ``smoketest`` has it already. Django sets this mark itself, so as not to
    log a response twice (django.utils.log.log_response).
    """
    response._has_been_logged = True  # type: ignore[attr-defined]


def finished(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Put on ``response`` what all have, and take the body from the answer to HEAD."""
    for name, value in HEADERS.items():
        response[name] = value
    if isinstance(response, HttpResponse):
        response["Content-Length"] = str(len(response.content))
        if request.method == "HEAD":
            response.content = b""
    return response


def _content_type(renderer: renderers.Renderer) -> str:
    return f"{renderer.media_type}; charset={renderer.charset}"
