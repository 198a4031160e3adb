"""Why a node gave no report, in sentences: what happened, why, and what to do.

They do not name the node, so that one sentence stands for all that it is true of. What a
node said instead of a report is in ``reading``.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator

import httpx

from smoketest.escaping import one_line


def unknown_name(host: str, why: object) -> str:
    """Return what to say of a node whose name has no address."""
    return (
        f"The name {host!r} has no address: {why}. It is misspelt, or the name server does not"
        " know it or cannot be reached. Look it up where the gate runs."
    )


def unusable_url(error: Exception) -> str:
    """Return what to say of a URL that no request can be made for."""
    return f"The node's URL cannot be asked for: {error}. Correct it, or what it redirects to."


def redirects(number: int) -> str:
    """Return what to say of a node that redirects more than so many times."""
    return (
        f"The node redirects more than {number} times in a row. It may redirect in a"
        " circle, to HTTPS for example where a proxy has taken HTTPS away. Ask it with curl"
        " -L, and correct the URL or the site."
    )


def redirects_elsewhere(url: str) -> str:
    """Return what to say of a node that redirects to a host to which the token must not go."""
    return (
        f"The node redirects to {one_line(url)[:200]!r}, which is another host, and it"
        " was not asked there: the token is for this one alone. Give the gate the URL that"
        " answers by itself, or let the site answer the gate without a redirect."
    )


def packed(encoding: str) -> str:
    """Return what to say of an answer in an encoding that was not asked for."""
    return (
        f"The node sends its report packed ({one_line(encoding)[:40]!r}), though it was"
        " asked not to. Something in front of it packs answers whoever asks. Leave"
        " /smoketest/ out there."
    )


def too_large(most: int) -> str:
    """Return what to say of an answer with more than ``most`` bytes."""
    return (
        f"The node sent more than {most // 1_000_000} MB, and the gate does not"
        " read on. That is no report, or one of too many tests. Ask for fewer with"
        " --tag or --test."
    )


def busy(status: int, excerpt: str, deadline: float) -> str:
    """Return what to say of a node that asks for patience, and for more than there is."""
    return (
        f"The node is busy (status {status}, {excerpt}), and stays so"
        f" longer than the deadline of {deadline:g} s allows. Another run is"
        " under way there, or it was taken out of service. Ask again later, or with --wait."
    )


def too_late(deadline: float, *, connected: bool, received: int | None) -> str:
    """Return what to say when the deadline came first; ``received`` bytes were there then."""
    before = f"before the deadline of {deadline:g} s"
    if received is not None:
        what = f"sent {received} bytes of its answer {before}, and no end"
    elif connected:
        what = f"took the connection and did not answer {before}"
    else:
        what = f"could not be reached {before}"
    return (
        f"The node {what}. It hangs, its tests take longer, or there are too many nodes for"
        " the time. Look what runs there, or raise --deadline or --concurrency."
    )


def broken(error: httpx.HTTPError, host: str, *, connected: bool, patience: float) -> str:
    """Return what to say of an exchange that broke.

    ``patience`` is how many seconds there were for a connection.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _untrusted(cause)
        if type(cause).__name__ == "gaierror":
            return unknown_name(host, _reason(cause, patience))
    # Which says more than what it came from.
    last = error if isinstance(error, httpx.RemoteProtocolError) else causes[-1]
    if connected:
        return (
            f"The node broke off the exchange: {_reason(last, patience)}. Its process died, or"
            " something in between cut the connection. Read its log."
        )
    return (
        f"The node does not take a connection: {_reason(last, patience)}. Nothing listens there,"
        " or a firewall is in between. Start it, or correct the URL."
    )


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    return (
        f"The node's certificate is not accepted: {error.verify_message}. It is for"
        " another name, out of date, or signed by somebody who is not trusted here."
        " Correct it, or name the certificate to trust with --ca-file."
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and what it came from, the last in the deep."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        if isinstance(following, BaseExceptionGroup):
            following = following.exceptions[0]
        else:
            following = following.__cause__ or following.__context__


def _reason(error: BaseException, patience: float) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"no answer within {patience:g} s"
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)  # asyncio has other words, with the address in them
    return one_line(str(error) or type(error).__name__)[:200]
