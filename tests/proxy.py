"""A TCP proxy between a program and its database, which can delay, fall silent or cut. In a thread of its own, so
that it goes on whatever the event loop under test does."""

import selectors
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy.engine import make_url

HOST = "127.0.0.1"
_TICK_SECONDS = 0.02


class Proxy:
    """Forwards to a port on loopback from one of its own, `port`.

    Silent: connections are accepted and stay open, nothing is forwarded, and nobody is told (no FIN, no RST).
    """

    def __init__(self, target: int) -> None:
        self.silent = False
        self.delay_seconds = 0.0
        """Before each piece that the database sends."""
        self.connections = 0
        """Accepted so far."""
        self._target = target
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._peers: dict[socket.socket, socket.socket] = {}
        self._from_database: set[socket.socket] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def url(self, database_url: str) -> str:
        """The same database, through the proxy."""
        return make_url(database_url).set(port=self.port).render_as_string(hide_password=False)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _ in selector.select(_TICK_SECONDS):
                    if key.fileobj is self._listener:
                        self._accept(selector)
                    elif not self.silent:
                        assert isinstance(key.fileobj, socket.socket)
                        self._forward(selector, key.fileobj)
                if self.silent:
                    time.sleep(_TICK_SECONDS)
            for one in self._peers:
                one.close()

    def _accept(self, selector: selectors.BaseSelector) -> None:
        client, _ = self._listener.accept()
        self.connections += 1
        try:
            server = socket.create_connection((HOST, self._target))
        except OSError:
            client.close()
            return
        self._peers |= {client: server, server: client}
        self._from_database.add(server)
        for one in (client, server):
            selector.register(one, selectors.EVENT_READ)

    def _forward(self, selector: selectors.BaseSelector, source: socket.socket) -> None:
        if source not in self._peers:  # closed with its peer a moment ago
            return
        data = b""
        with suppress(OSError):
            data = source.recv(65536)
        if data and self.delay_seconds and source in self._from_database:
            time.sleep(self.delay_seconds)
        with suppress(OSError):
            if data:
                self._peers[source].sendall(data)
                return
        for one in (source, self._peers.pop(source)):
            selector.unregister(one)
            self._peers.pop(one, None)
            self._from_database.discard(one)
            one.close()
