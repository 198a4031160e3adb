"""Names resolve, and ports accept connections."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from .subjects import Probe, listed


class Names(Probe):
    """Each DNS name resolves, to the addresses expected where there are any."""

    abstract = True
    names: Collection[str] | Mapping[str, Collection[str]] = ()
    """Host names; or host names with the addresses of which each must be found:
    ``{"db.internal": ["10.0.0.5"]}``."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The names."""
        return listed(cls.names, "names")

    def check_name(self, name: str) -> None:
        """The name resolves."""
        with self.explained(
            f"{name} does not resolve",
            "Look at the name, /etc/resolv.conf and its DNS.",
            (OSError, UnicodeError),
        ):
            found = {str(info[4][0]) for info in socket.getaddrinfo(name, None)}
        expected = self.names[name] if isinstance(self.names, Mapping) else ()
        if absent := set(listed(expected, f"names[{name!r}]")) - found:
            self.fail(
                f"{name} resolves to {', '.join(sorted(found))}. The probe expects"
                f" {', '.join(sorted(absent))}. Correct its DNS, or wait for old answers to expire."
            )


class Ports(Probe):
    """Each TCP port accepts a connection, which is closed without a word."""

    abstract = True
    ports: Collection[str] = ()
    """``["db.internal:5432", "[::1]:6379"]``"""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The addresses."""
        return listed(cls.ports, "ports")

    def check_port(self, address: str) -> None:
        """The port accepts a connection."""
        host, port = _parts(address)
        with self.explained(
            f"{address} does not accept a connection",
            "Start what should listen there, and look at firewalls on the way.",
            OSError,
        ):
            socket.create_connection((host, port), self.patience).close()


def _parts(address: str) -> tuple[str, int]:
    """Return host and port. Raises ``ValueError`` where that is no address."""
    with suppress(ValueError):  # of a port that is no number, or too high a one
        parts = urlsplit(f"//{address}")
        if parts.hostname and parts.port is not None:
            return parts.hostname, parts.port
    raise ValueError(
        f"{address!r} is no address of a port. The probe connects to it."
        " Write 'host:port', or '[::1]:port'."
    )
