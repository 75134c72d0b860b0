"""
HTTP/1.1 as uvicorn and httptools speak it, with what they lack: caps, deadlines, upgrades ignored.

Why this server (20,000 POSTs of 10 kB over 16 connections, server CPU a request, 2 cores): uvicorn
with httptools 35 us, granian 60 us, uvicorn with h11 150 us, hypercorn 235 us. The two fast ones
differ by a tenth of what a small OTLP request costs in all; granian would take headers, limits and
the event loop out of our hands for it.
"""

import asyncio
import logging
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from collector.http.http2 import PREFACE, Http2Protocol

_MAX_HEADER_BYTES = 64 * 1024
_MAX_HEADERS = 200
_TOO_LARGE = "the head of the request is too large"
# requests of one connection that wait for the answer to the one before them
_MAX_PIPELINED = 100
_TOO_MANY = "too many requests before the first answer"
# from the first byte of a request, or from the connection, to the end of its headers
_HEAD_WAIT_S = 30
# an answer of which a client takes nothing for so long is given up
_WRITE_WAIT_S = 60
# RFC 9110 7.8: a server may ignore an upgrade, and the request is then an ordinary one
_UPGRADE_HEADERS = frozenset({b"upgrade", b"http2-settings"})
_log = logging.getLogger(__name__)


class HttpProtocol(HttpToolsProtocol):
    """
    One connection. Its first bytes decide between HTTP/1.1 and HTTP/2 with prior knowledge.

    httptools has no cap on what comes before a body, and skips the body of every request that
    offers an upgrade: `java.net.http.HttpClient` offers one with each request to a plain-text port.
    Such a request is parsed a second time, without the offer.
    """

    _head_bytes = 0
    _silent_bytes = 0
    _is_head_open = False
    _is_offer = False
    _opening: bytes | None = b""
    _deadline: asyncio.TimerHandle | None = None
    _answering: Any = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_deadline()
        self._unset_unread()
        # uvicorn tells the request that was read last, which may be waiting behind this one
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._opening is not None:
            data = self._opening + data
            if PREFACE.startswith(data[: len(PREFACE)]):
                self._opening = data
                if len(data) >= len(PREFACE):
                    self._hand_over(data)
                return
            self._opening = None
        self._silent_bytes += len(data)
        self._parse(data)
        if self._silent_bytes > _MAX_HEADER_BYTES:
            # a line without an end, which the parser gathers: of a head, a trailer, a chunk's size
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._is_head_open and self._deadline is None:
            self._set_deadline()

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as exc:
                if self.parser.get_method() == b"CONNECT":
                    self.send_400_response("CONNECT is not served here.")
                    return
                # the offer's headers are read, its body is not: parse both again without the offer
                data = self._write_head() + data[exc.args[0] :]
                self._is_offer = False
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            except httptools.HttpParserError:
                if len(self.pipeline) > _MAX_PIPELINED:
                    # whatever is written now would be read as the answer to another request
                    self.transport.abort()
                    return
                self.send_400_response("Invalid HTTP request received.")
                return
            else:
                return

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._unset_unread()
        super().resume_writing()

    def _look_later(self, size: int) -> None:
        self._unread = self.loop.call_later(_WRITE_WAIT_S, self._look, size)

    def _look(self, before: int) -> None:
        size = self.transport.get_write_buffer_size()
        if size < before:
            self._look_later(size)
        else:
            self.transport.abort()

    def _unset_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # uvicorn reads on after each answer, and each time takes in thousands of small requests
        if self.pipeline:
            self.flow.pause_reading()

    def on_message_begin(self) -> None:
        # not with every byte that comes: what is left of an answered request keeps nothing open
        self._unset_keepalive_if_required()
        self._head_bytes = 0
        self._is_head_open = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        if self._head_bytes > _MAX_HEADER_BYTES:
            raise ValueError(_TOO_LARGE)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # for each of some headers of each request: in line, a call would cost as much as the rest
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _MAX_HEADER_BYTES or len(self.headers) >= _MAX_HEADERS:
            raise ValueError(_TOO_LARGE)
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._silent_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._silent_bytes = 0
        self._is_head_open = False
        if self._deadline is not None:
            self._unset_deadline()
        self._is_offer = self.parser.should_upgrade()
        if not self._is_offer:
            super().on_headers_complete()
        if len(self.pipeline) > _MAX_PIPELINED:
            raise ValueError(_TOO_MANY)

    def on_message_complete(self) -> None:
        self._silent_bytes = 0
        if not self._is_offer:
            super().on_message_complete()

    def _write_head(self) -> bytes:
        lines = [b"%b %b HTTP/%b" % (
            self.parser.get_method(), self.url, self.parser.get_http_version().encode()
        )]  # fmt: skip
        for name, value in self.headers:
            if name == b"connection":
                value = b",".join(
                    option
                    for option in value.split(b",")
                    if option.strip().lower() not in _UPGRADE_HEADERS
                )
            if name not in _UPGRADE_HEADERS:
                lines.append(name + b": " + value)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(_HEAD_WAIT_S, self.timeout_keep_alive_handler)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _hand_over(self, data: bytes) -> None:
        self._unset_deadline()
        self.connections.discard(self)
        other: Any = Http2Protocol(self.app, self.server_state, self.timeout_keep_alive)
        self.transport.set_protocol(other)
        other.connection_made(self.transport)
        other.data_received(data)
