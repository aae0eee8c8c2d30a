"""A proxy that ends TLS, in front of a server that has none.

    certificates = make_certificates(folder)
    with TLSProxy("127.0.0.1", server.port, certificates) as proxy:
        store = open_store(f"rediss://localhost:{proxy.port}", ssl_ca_certs=str(certificates.authority))

Threads and blocking sockets, a thread a connection: a refused client is told why by an alert, which
asyncio's TLS drops.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator

from miniagent_store.testing.certificates import Certificates
from miniagent_store.testing.startable import Startable

HOST = "127.0.0.1"
# Seconds for a TLS handshake, and for connecting to the server.
_HANDSHAKE = 10.0
_CHUNK = 64 * 1024


class TLSProxy(Startable):
    """Takes TLS connections on loopback and forwards what they say to a plain server.

    Args:
        host, port: of the server.
        certificates: shown to clients.
        clients: the authority (a PEM file) of the certificate that each client must show; None to ask
            for none.

    Attributes:
        port: where the proxy listens, once it is started.
        connections: how many have come in so far, refused ones too.
    """

    def __init__(
        self, host: str, port: int, certificates: Certificates, *, clients: str | None = None
    ) -> None:
        self._server = (host, port)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.certificate, certificates.key)
        if clients is not None:
            self._context.load_verify_locations(clients)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self.port: int = 0
        self.connections: int = 0
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._serving: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    @property
    def host(self) -> str:
        """Where the proxy listens."""
        return HOST

    def start(self) -> None:
        """Listen; returns when it does."""
        self._listener = socket.create_server((HOST, self.port), backlog=1024)
        # So that the thread that accepts sees the end.
        self._listener.settimeout(0.1)
        self.port = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._accepting.start()

    def stop(self) -> None:
        """Cut all connections and end the threads."""
        listener, self._listener = self._listener, None
        if listener is None or self._accepting is None:
            return
        self._accepting.join()
        listener.close()
        for thread in self._serving:
            while thread.is_alive():
                self._cut()
                thread.join(0.05)
        self._serving.clear()

    def _cut(self) -> None:
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                accepted, _ = listener.accept()
            except OSError:
                continue
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(accepted,), daemon=True)
            self._serving.append(thread)
            thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        accepted.settimeout(_HANDSHAKE)
        # A handshake that fails and an end in the middle are what tests are made of.
        with contextlib.suppress(OSError), accepted:
            client = self._context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
            with self._kept(client):
                client.do_handshake()
                with self._kept(socket.create_connection(self._server, _HANDSHAKE)) as server:
                    _forward(client, server)

    @contextlib.contextmanager
    def _kept(self, each: socket.socket) -> Iterator[socket.socket]:
        """Closed at the end, and cut by `stop`."""
        with self._lock:
            self._open.add(each)
        try:
            # Or small pieces would wait 40 ms for each other's acknowledgement.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield each
        finally:
            with self._lock:
                self._open.discard(each)
            each.close()


def _forward(client: ssl.SSLSocket, server: socket.socket) -> None:
    """Until one side ends."""
    client.settimeout(None)
    server.settimeout(None)
    while True:
        # What was decrypted already is not seen by select.
        readable = [client] if client.pending() else select.select([client, server], [], [])[0]
        for source in readable:
            data = source.recv(_CHUNK)
            if not data:
                return
            (server if source is client else client).sendall(data)
