"""Whom to ask: URLs from the command line or a file, and the addresses behind their names."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from smoketest.arguments import InvalidArgument
from smoketest.escaping import one_line

from .problems import unknown_name

STDIN = "-"
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a node is asked."""

    name: str
    """What the node is called: its URL without the query, and the address where its name has
    several."""
    url: str
    """What is asked for, with the query."""
    address: str = ""
    """The IP address to connect to; empty leaves it to the name in the URL."""
    problem: str = ""
    """Why nobody can be asked there; empty where somebody can."""


def parse(urls: Iterable[str], parameters: Sequence[tuple[str, str]] = ()) -> list[Address]:
    """Return the address that each of ``urls`` is, once, with ``parameters`` in its query.

    Raises :class:`InvalidArgument` for what is no URL, has a user or a password in it, or
    differs from another one in its query only.
    """
    found: dict[str, Address] = {}
    for text in urls:
        parts = _split(text)
        name = parts._replace(query="", fragment="").geturl()
        pairs = [*parse_qsl(parts.query, keep_blank_values=True), *parameters]
        # What the locale could not decode in an argument is sent as the bytes that it was.
        query = urlencode(pairs, errors="surrogateescape")
        address = Address(name, parts._replace(query=query, fragment="").geturl())
        if found.setdefault(name, address) != address:
            raise InvalidArgument(
                f"The URL {name!r} is there twice, with different queries. A node is asked one"
                " thing: name it once, and say with --test, --tag and -k what it is to run."
            )
    return list(found.values())


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text.strip())
        port = parts.port  # raises where it is none
    except ValueError as error:
        raise InvalidArgument(f"{_shown(text)} is no URL: {error}. {_EXAMPLE}") from error
    if parts.username is not None or parts.password is not None:
        # It is not repeated: this is a secret.
        raise InvalidArgument(
            f"A URL for {parts.hostname!r} has a user or a password in it. Everybody on this"
            " machine can read the command line, and logs keep it. Put a token into the"
            " environment variable SMOKETEST_TOKEN, or into a file for --token-file."
        )
    if parts.scheme not in PORTS or not parts.hostname or port == 0:
        near = f" Did you mean {'https://' + text!r}?" if "://" not in text else ""
        raise InvalidArgument(f"{_shown(text)} is no URL of HTTP.{near} {_EXAMPLE}")
    if any(not character.isprintable() or character.isspace() for character in parts.geturl()):
        raise InvalidArgument(f"{_shown(text)} is no URL: it has a blank in it. {_EXAMPLE}")
    return parts._replace(path=parts.path or "/")


_EXAMPLE = "Write for example https://www.example.com/smoketest/."


def _shown(text: str) -> str:
    # What comes before an @ may be a password, wherever the URL is broken.
    return repr(one_line(text.rpartition("@")[2])[:200])


def listed(file: str) -> Iterator[str]:
    """Yield the URLs in ``file``, one a line; blank lines and what follows a # are left out.

    ``-`` is standard input. Raises :class:`InvalidArgument` where it cannot be read.
    """
    try:
        text = sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f"--nodes-file names {file!r}, which cannot be read: {error}. Name a text file with"
            " one URL a line, or - for standard input."
        ) from error
    for line in text.splitlines():
        url = line.strip()
        if url and not url.startswith("#"):
            yield url.split(" #")[0].strip()


async def resolved(addresses: Iterable[Address]) -> list[Address]:
    """Return an address for each A and AAAA record of each name, in their order.

    A name that cannot be resolved stays, with the problem.
    """
    found = await asyncio.gather(*map(_resolve, addresses))
    return [address for group in found for address in group]


async def _resolve(address: Address) -> list[Address]:
    parts = urlsplit(address.url)
    host = parts.hostname or ""
    if _is_ip(host):
        return [address]
    loop = asyncio.get_running_loop()
    try:
        records = await loop.getaddrinfo(
            host, parts.port or PORTS[parts.scheme], type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        return [replace(address, problem=unknown_name(host, why))]
    ips = dict.fromkeys(str(socket_address[0]) for *_, socket_address in records)
    return [replace(address, name=f"{address.name} ({ip})", address=ip) for ip in ips]


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
