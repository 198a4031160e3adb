"""A loopback proxy that counts the round trips between a client and its server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


class Proxy:
    """Passes bytes on; a round trip is what a client sends between two answers."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.round_trips = 0
        self._flows = threading.Event()
        self._flows.set()

    def run(self) -> None:
        """Take connections until :meth:`stop`."""
        with ExitStack() as stack, suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                stack.callback(_end, client)
                self._flows.wait()
                server = socket.create_connection(self._server)
                stack.callback(_end, server)
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                answered = threading.Event()
                answered.set()
                for source, target, asks in ((client, server, True), (server, client, False)):
                    threading.Thread(
                        target=self._pump, args=(source, target, answered, asks), daemon=True
                    ).start()

    def _pump(
        self, source: socket.socket, target: socket.socket, answered: threading.Event, asks: bool
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not asks:
                    answered.set()
                elif answered.is_set():
                    answered.clear()
                    self.round_trips += 1
                self._flows.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def freeze(self) -> None:
        """Pass nothing on any more: who asks gets a connection, and never an answer."""
        self._flows.clear()

    def stop(self) -> None:
        """Take no more connections, and close those that are open."""
        self._flows.set()
        _end(self._listener)


def _end(end: socket.socket) -> None:
    # A socket that is only closed stays open for as long as a thread waits on it.
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy to ``host:port`` for as long as the block lasts."""
    made = Proxy(host, port)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join()
