"""What the guards of database servers share: how to begin, to wait no longer, and to cut off.

A server is behind a network, which may swallow what is sent to it, and nobody can tell. So
the connection's socket is kept, for another thread to break it where nothing else helps.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from . import drivers
from .guard import GuardedConnection
from .holding import HeldSocket


class ServerGuard(GuardedConnection):
    """Leaves to a vendor what is sent; the driver's connection is guarded from then on."""

    _smoke_socket: HeldSocket | None = None
    """The socket of the driver's connection."""
    _smoke_autocommit: bool
    """Whether Django's connection was in autocommit mode before."""

    # -- connecting

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection, of which :meth:`sever` has what it needs."""
        driver = super().get_new_connection(conn_params)
        self._smoke_forget()
        self._smoke_socket = HeldSocket(self._smoke_descriptor(driver))
        return driver

    def get_connection_params(self) -> dict[str, Any]:
        """Return the site's own; where they set no limit, connecting ends soon after the test's."""
        parameters = self._smoke_site_parameters()
        if not self._smoke_own:
            return parameters
        return {"connect_timeout": max(2, math.ceil(self._smoke_remaining())), **parameters}

    def _smoke_site_parameters(self) -> dict[str, Any]:
        """Return what the site itself connects with, also where no test is under way any more."""
        parameters: dict[str, Any] = super().get_connection_params()
        return parameters

    def _smoke_descriptor(self, driver: Any) -> int:
        descriptor: int = driver.fileno()
        return descriptor

    def _smoke_forget(self) -> None:
        held, self._smoke_socket = self._smoke_socket, None
        if held is not None:
            held.close()

    # -- begin and end

    def _smoke_begin(self) -> None:
        self._smoke_send_begin()
        drivers.guard(self.connection, self)
        self._smoke_autocommit, self.autocommit = self.autocommit, False

    def _smoke_send_begin(self) -> None:
        """Have the server begin a transaction that it refuses to commit."""
        raise NotImplementedError

    def _smoke_rollback(self) -> None:
        drivers.release(self.connection)
        self._smoke_send_rollback()
        self.autocommit = self._smoke_autocommit

    def _smoke_send_rollback(self) -> None:
        """Have the server roll back, and leave the session as it was before the begin."""
        raise NotImplementedError

    def _smoke_rest(self) -> None:
        drivers.rest(self.connection)

    def _smoke_wake(self) -> None:
        drivers.release(self.connection)

    # -- from another thread

    def sever(self) -> None:
        """Have the server end what the connection does, and break it; the server rolls back."""
        driver, held = self.connection, self._smoke_socket
        if driver is None or not self._smoke_may_be_severed:
            return
        with suppress(self.Database.Error):  # nobody answers, or takes a connection more
            self._smoke_cut_off(driver)
        if held is not None:
            held.shut()

    @property
    def _smoke_may_be_severed(self) -> bool:
        """Whether there may be something of a test's to end, and nothing of the caller's.

        What is the session's own may also be stuck in its begin or its rollback.
        """
        return not self._smoke_outer and (self._smoke_own or bool(self._smoke_levels))

    def _smoke_cut_off(self, driver: Any) -> None:
        """Ask the server to end what ``driver`` does; come back in seconds, answered or not."""
        raise NotImplementedError
