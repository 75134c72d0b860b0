"""
HTTP/2 with prior knowledge, for an ASGI application: `h2` speaks the protocol, this moves events.

Bodies are taken from the connection as the application asks for them: what it has not asked for
stays within the stream's flow-control window, so a request that waits for memory costs little.

Source: RFC 9113 (3.3 prior knowledge, 5.2 flow control, 8.2.2 connection-specific fields).
"""

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from collector.http.asgi import App, Message, Scope, SenderGone

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# what clients assume before they have read our settings: with less, their first requests break them
_MAX_STREAMS = 100
_WINDOW_BYTES = 65_535
_MAX_HEADER_BYTES = 64 * 1024
# a reader that takes nothing for so long is gone
_WRITE_WAIT_S = 60
# answers wait for room, so that more than this are acknowledgements (CVE-2019-9512, -9515)
_MAX_UNREAD_BYTES = 4 * 1024 * 1024
# streams opened and reset again cost us and not their sender (CVE-2023-44487)
_MAX_RESETS = 200
_CONNECTION_HEADERS = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade",
})  # fmt: skip
_log = logging.getLogger(__name__)


class Http2Protocol(asyncio.Protocol):
    """One connection; takes over a transport whose first bytes were the preface."""

    def __init__(self, app: App, state: ServerState, idle_s: float) -> None:
        self._app = app
        self._state = state
        self._idle_s = idle_s
        self._streams: dict[int, _Stream] = {}
        self._resets = 0
        self._idle: asyncio.TimerHandle | None = None
        self._is_stopping = False
        self._writable = asyncio.Event()
        self._writable.set()
        self.loop = asyncio.get_running_loop()
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: _MAX_STREAMS,
                SettingCodes.MAX_HEADER_LIST_SIZE: _MAX_HEADER_BYTES,
            },
        )

    def connection_made(self, transport: Any) -> None:  # uvloop's is no asyncio.Transport
        """Greet. The connection's window has room for all streams: none waits for another."""
        self._transport: asyncio.Transport = transport
        self._state.connections.add(self)  # type: ignore[arg-type]  # it needs `shutdown` only
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window((_MAX_STREAMS - 1) * _WINDOW_BYTES)
        self.flush()
        self._wait_for_streams()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        if self._idle is not None:
            self._idle.cancel()
        self._writable.set()
        for stream in self._streams.values():
            stream.reset()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self.h2.receive_data(data):
                self._handle(event)
        except ProtocolError as exc:
            _log.info("an HTTP/2 connection is closed: %s", exc)
            self._close()
            return
        self.flush()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def shutdown(self) -> None:
        """Take no more streams, and close once those under way are answered."""
        self._is_stopping = True
        if not self._streams:
            self._close()

    def flush(self) -> None:
        """Send what the protocol has to say."""
        data = self.h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
                self._transport.abort()

    async def drain(self) -> None:
        """Wait while the sender's side takes no more. Raises `ConnectionError`."""
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(_WRITE_WAIT_S):
                    await self._writable.wait()
            except TimeoutError:
                self._transport.abort()
        if self._transport.is_closing():
            raise ConnectionError

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._open(event)
        elif isinstance(event, ConnectionTerminated):
            self._close()
        else:
            number = getattr(event, "stream_id", None)
            stream = self._streams.get(number or 0)
            if isinstance(event, DataReceived):
                self._take(event, stream)
            elif isinstance(event, StreamReset):
                self._resets += 1
                if self._resets > _MAX_RESETS:
                    self._close(ErrorCodes.ENHANCE_YOUR_CALM)
                if stream is not None:
                    stream.reset()
            elif isinstance(event, StreamEnded) and stream is not None:
                stream.end()
            else:  # a window or a setting has changed
                for each in self._streams.values():
                    each.wake()

    def _open(self, event: RequestReceived) -> None:
        number = event.stream_id
        if self._is_stopping:
            self.h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
            return
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        stream = _Stream(self, number, self._read_scope(event.headers))
        self._streams[number] = stream
        task = self.loop.create_task(self._serve(stream))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def _take(self, event: DataReceived, stream: "_Stream | None") -> None:
        size = event.flow_controlled_length
        if stream is None:
            self.h2.acknowledge_received_data(size, event.stream_id)
        else:
            stream.feed(event.data, size)

    async def _serve(self, stream: "_Stream") -> None:
        try:
            await self._app(stream.scope, stream.receive, stream.send)
        except SenderGone:
            pass  # its sender is gone
        except Exception:
            _log.exception("a request failed")
        finally:
            self._streams.pop(stream.number, None)
            stream.finish()
            self._state.total_requests += 1
            self.flush()
            if not self._streams:
                self._wait_for_streams()

    def _wait_for_streams(self) -> None:
        if self._is_stopping:
            self._close()
        elif not self._transport.is_closing():
            self._idle = self.loop.call_later(self._idle_s, self._close)

    def _close(self, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        if self._transport.is_closing():
            return
        with contextlib.suppress(ProtocolError):  # closed already: its farewell is ready to be sent
            self.h2.close_connection(code)
        self.flush()
        self._transport.close()

    def _read_scope(self, fields: list[tuple[bytes, bytes]]) -> Scope:
        headers = [field for field in fields if not field[0].startswith(b":")]
        pseudo = {name: value for name, value in fields if name.startswith(b":")}
        if b":authority" in pseudo:
            headers.append((b"host", pseudo[b":authority"]))
        raw_path, _, query = pseudo.get(b":path", b"").partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "2",
            "server": get_local_addr(self._transport),
            "client": get_remote_addr(self._transport),
            "scheme": "http",
            "method": pseudo.get(b":method", b"").decode("latin-1"),
            "root_path": "",
            "path": unquote(raw_path.decode("latin-1")),
            "raw_path": raw_path,
            "query_string": query,
            "headers": headers,
            "state": {},
        }


class _Stream:
    """One request and its answer."""

    def __init__(self, connection: Http2Protocol, number: int, scope: Scope) -> None:
        self.number = number
        self.scope = scope
        self._connection = connection
        self._h2 = connection.h2
        self._chunks: deque[bytes] = deque()
        self._unread_bytes = 0
        self._is_ended = self._is_read = self._is_reset = self._is_answered = False
        self._must_continue = (b"expect", b"100-continue") in scope["headers"]
        self._changed = asyncio.Event()

    def feed(self, data: bytes, flow_bytes: int) -> None:
        self._chunks.append(data)
        self._unread_bytes += flow_bytes
        self.wake()

    def end(self) -> None:
        self._is_ended = True
        self.wake()

    def reset(self) -> None:
        self._is_reset = True
        self.wake()

    def wake(self) -> None:
        self._changed.set()

    async def receive(self) -> Message:
        """Return the next piece of the body, or that the sender is gone."""
        if self._must_continue:
            self._must_continue = False
            self._h2.send_headers(self.number, [(b":status", b"100")])
            self._connection.flush()
        while not self._is_reset:
            if not self._is_read and (self._chunks or self._is_ended):
                body = b"".join(self._chunks)
                self._chunks.clear()
                self._is_read = self._is_ended
                self._acknowledge()
                return {"type": "http.request", "body": body, "more_body": not self._is_ended}
            self._changed.clear()
            await self._changed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send a part of the answer. Raises `SenderGone` when nobody takes it."""
        if self._is_reset:
            raise SenderGone
        try:
            await self._send(message)
        except (ConnectionError, ProtocolError, TimeoutError) as exc:
            raise SenderGone from exc

    async def _send(self, message: Message) -> None:
        self._must_continue = False
        if message["type"] == "http.response.start":
            fields = [(name.lower(), value) for name, value in message.get("headers", ())]
            kept = [field for field in fields if field[0] not in _CONNECTION_HEADERS]
            self._h2.send_headers(self.number, [(b":status", b"%d" % message["status"]), *kept])
            return
        is_last = not message.get("more_body", False)
        body = b"" if self.scope["method"] == "HEAD" else message.get("body", b"")
        await self._send_body(memoryview(body), is_last)

    def finish(self) -> None:
        """Leave the stream as it is; one that is not at its end is reset."""
        self._acknowledge()
        if self._is_reset or (self._is_answered and self._is_ended):
            return
        # RFC 9113 8.1: NO_ERROR says that the answer is whole and the rest of the body not needed
        code = ErrorCodes.NO_ERROR if self._is_answered else ErrorCodes.INTERNAL_ERROR
        with contextlib.suppress(ProtocolError):  # the connection is closed
            self._h2.reset_stream(self.number, code)

    async def _send_body(self, body: memoryview, is_last: bool) -> None:
        while body or is_last:
            size = min(len(body), await self._room() if body else 0)
            is_end = is_last and size == len(body)
            self._h2.send_data(self.number, bytes(body[:size]), end_stream=is_end)
            self._is_answered |= is_end
            self._connection.flush()
            await self._connection.drain()
            body = body[size:]
            if is_end:
                return

    async def _room(self) -> int:
        async with asyncio.timeout(_WRITE_WAIT_S):
            while True:
                if self._is_reset:
                    raise SenderGone
                room = self._h2.local_flow_control_window(self.number)
                if room > 0:
                    return min(room, self._h2.max_outbound_frame_size)
                self._changed.clear()
                await self._changed.wait()

    def _acknowledge(self) -> None:
        size, self._unread_bytes = self._unread_bytes, 0
        if size:
            try:
                self._h2.acknowledge_received_data(size, self.number)
            except ProtocolError:
                return  # the connection is closed
            self._connection.flush()
