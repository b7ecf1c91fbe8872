"""uvicorn's HTTP protocol for strangers: a head must come in time and be small."""

from __future__ import annotations

from collections import Counter

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from resnet.server.proxy import neighbourhood, within
from resnet.server.settings import Settings

MAX_HEAD = 32 * 1024  # bytes


def _whole(status: str, sentence: str) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {len(sentence)}\r\n"
        f"connection: close\r\n\r\n{sentence}"
    ).encode()


_BUSY = _whole("503 Service Unavailable", "There are too many connections at the moment.")
_LARGE = _whole("431 Request Header Fields Too Large", "The head of this request is too large.")


def protocol_for(settings: Settings) -> type:
    """A protocol class with the settings' limits.

    uvicorn waits for ever for the first request of a connection, takes heads of any length with
    httptools, and any number of connections.
    """
    per_address: Counter[str] = Counter()
    proxies = settings.proxies
    most_per_address = max(1, settings.connections // 4)

    class Guarded(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        def connection_made(self, transport) -> None:
            super().connection_made(transport)
            self._head = 0
            self._timer = None
            self._from = neighbourhood(self.client[0]) if self.client else ""
            per_address[self._from] += 1
            alone = not within(self._from, proxies)
            if len(self.connections) > settings.connections or (
                alone and per_address[self._from] > most_per_address
            ):
                transport.write(_BUSY)
                transport.close()
                return
            self._await_head()

        def connection_lost(self, exc) -> None:
            self._stop()
            per_address[self._from] -= 1
            if not per_address[self._from]:
                del per_address[self._from]
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            waiting = self.cycle is None or self.cycle.response_complete
            if waiting:
                self._head += len(data)
                if self._timer is None:
                    self._await_head()
            before = self.cycle
            super().data_received(data)
            if self.cycle is not before:  # the head is whole
                self._head = 0
                self._stop()
            elif waiting and self._head > MAX_HEAD:
                self.transport.write(_LARGE)
                self.transport.close()

        def _await_head(self) -> None:
            self._timer = self.loop.call_later(settings.request_seconds, self._too_slow)

        def _too_slow(self) -> None:
            if not self.transport.is_closing():
                self.transport.abort()

        def _stop(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Guarded
