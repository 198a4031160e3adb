"""One request to another system, with an end to it: what several probes ask by."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from .subjects import Probe

if TYPE_CHECKING:
    import httpx

_DAY = 86_400
_MOST = 10_000_000
"""Bytes of an answer that are read; more is no health page."""


class Answer(NamedTuple):
    """What was answered."""

    status: int
    location: str
    text: str
    days: float | None
    """Until the certificate ends, if there is one."""


def get(
    probe: Probe,
    name: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    ca_file: str = "",
    secrets: Iterable[str | None] = (),
) -> Answer:
    """Ask ``url`` once, and fail ``probe`` where ``name`` does not answer or does not end.

    Redirects are not followed.
    """
    try:
        import httpx
    except ImportError as error:
        raise probe.missing("httpx") from error
    trusted = ssl.create_default_context(cafile=ca_file or None)
    with (
        probe.explained(
            f"{name} does not answer",
            "Look whether it is up, at its certificate, and at firewalls on the way.",
            (httpx.HTTPError, httpx.InvalidURL, OSError),
            secrets,
        ),
        httpx.Client(verify=trusted, timeout=probe.patience) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        days = _days_left(response)  # known as long as the connection is open
        text = _read(probe, name, response).decode(response.encoding or "utf-8", "replace")
        return Answer(response.status_code, response.headers.get("Location", ""), text, days)


def _read(probe: Probe, name: str, response: httpx.Response) -> bytes:
    """Return the body, which is waited for no longer than our patience: it may have no end."""
    end, body = time.monotonic() + probe.patience, bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _MOST or time.monotonic() > end:
            probe.fail(
                f"{name} does not end: {len(body):,} bytes were read. An answer to a probe is"
                " short. Name a page that is."
            )
    return bytes(body)


def _days_left(response: httpx.Response) -> float | None:
    connection = response.extensions["network_stream"].get_extra_info("ssl_object")
    certificate = connection and connection.getpeercert()
    if not certificate:
        return None
    return (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / _DAY
