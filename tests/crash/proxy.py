"""A proxy on loopback in front of a database server, that cuts connections where a test says.

State: the listening socket, and how many pieces have gone through since the last cut.
"""

from __future__ import annotations

import random
import socket
import threading
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

PLACES = ("before send", "after send", "after the answer")
_PIECE = 1 << 16


class Proxy:
    """Passes on what clients and server say; once in a while it cuts.

    Args:
        every: on average after so many pieces from a client; None: only where ``arm`` says.
    """

    def __init__(self, address: str, every: int | None, seed: int = 1) -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None
        assert parts.port is not None
        self._server = (parts.hostname, parts.port)
        self.every = every
        self._armed: tuple[str, bytes] | None = None
        self.cuts: Counter[str] = Counter()
        self._dice = random.Random(seed)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        user = parts.netloc.rpartition("@")[0]
        self.address = urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{port}"))
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, place: str, words: bytes) -> None:
        """Cut once, at the next piece that holds ``words``."""
        self._armed = (place, words)

    def close(self) -> None:
        """Listen no longer; open connections end with their clients."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection(self._server)
            except OSError:
                return
            with server:
                link = _Link(client, server)
                threading.Thread(target=link.pass_answers, daemon=True).start()
                with suppress(OSError):
                    self._pass_requests(link)
                link.cut()

    def _pass_requests(self, link: _Link) -> None:
        while data := link.client.recv(_PIECE):
            place = self._choose(data)
            if place == "before send":
                return
            if place == "after the answer":
                link.is_deaf = True
            link.server.sendall(data)
            if place == "after the answer":
                link.heard.wait(5)
            if place is not None:
                return

    def _choose(self, data: bytes) -> str | None:
        with self._lock:
            if self._armed is not None and self._armed[1] in data:
                place, self._armed = self._armed[0], None
                return place
            if self.every is None or self._dice.randrange(self.every):
                return None
            place = self._dice.choice(PLACES)
            self.cuts[place] += 1
            return place


class _Link:
    """One client and its connection to the server. ``is_deaf``: the next answer is not passed on."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.is_deaf = False
        self.heard = threading.Event()

    def pass_answers(self) -> None:
        with suppress(OSError):
            while data := self.server.recv(_PIECE):
                if self.is_deaf:
                    break
                self.client.sendall(data)
        self.heard.set()
        self.cut()

    def cut(self) -> None:
        """End both connections at once."""
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
