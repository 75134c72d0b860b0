"""
Request bodies: admitted by bytes in flight, read up to a cap, inflated up to a cap.

The cap of all bodies together is what bounds the memory of the process, whatever the number of
connections. A body is counted before it is read and as it grows.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Protocol, Self

import zstandard
from isal import isal_zlib
from isal.igzip_lib import IsalError

from collector.errors import Overloaded, TooLarge, Undecodable, UnsupportedFormat
from collector.http.asgi import Receive
from collector.telemetry import Metrics

ENCODINGS = ("identity", "gzip", "deflate", "zstd")
_FIRST_CLAIM_BYTES = 1024 * 1024
_CLAIM_WAIT_S = 5.0
_RETRY_AFTER_S = 2
# a sender slower than this holds memory that others wait for
_READ_GRACE_S = 15.0
_READ_BYTES_PER_S = 256 * 1024
_INFLATE_STEP_BYTES = 4 * 1024 * 1024
# isal releases the interpreter lock, but a small body is done before a thread would start
_THREAD_BYTES = 256 * 1024
# RFC 8878 asks decoders for 8 MiB; more is only useful for archives
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
_ZSTD_STEP_BYTES = 1024
_GZIP_WBITS, _ZLIB_WBITS, _RAW_WBITS = 31, 15, -15
# isal's stub calls its error a text
_DAMAGED: tuple[type[Exception], ...] = (IsalError, zstandard.ZstdError)  # type: ignore[assignment]


class Admission:
    """
    Bytes of requests that may be held at once; those who come late wait, in their order.

    Waiting ends after five seconds with `Overloaded`, so that claims that grow cannot block each
    other for ever.
    """

    def __init__(self, limit_bytes: int, metrics: Metrics) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._metrics = metrics
        self._waiting: deque[_Waiter] = deque()

    def claim(self, size: int | None) -> "Claim":
        """
        Hold bytes for one request of *size* (`None`: not known yet) until the block is left.

        Entering the block raises `Overloaded` when no room came free in time. Retryable.
        """
        first = _FIRST_CLAIM_BYTES if size is None else min(size, _FIRST_CLAIM_BYTES)
        return Claim(self, first)

    async def take(self, size: int, held: int) -> None:
        """Wait for room for *size* bytes beside the *held* ones. Raises `Overloaded`."""
        if not self._waiting and self._fits(size, held):
            self._add(size)
            return
        waiter = _Waiter(size, held, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(_CLAIM_WAIT_S):
                await waiter.room
        except BaseException as exc:
            self._forget(waiter)
            if not isinstance(exc, TimeoutError):
                raise
            raise Overloaded(
                f"{self._held} bytes of requests are being handled",
                hint="send less at once, or raise HOPLINE_MAX_INFLIGHT_BYTES",
                retry_after_s=_RETRY_AFTER_S,
            ) from None

    def give_back(self, size: int) -> None:
        self._add(-size)
        self._wake()

    def _forget(self, waiter: "_Waiter") -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            self._wake()
        else:  # it got its room in the moment in which it gave up
            self.give_back(waiter.size)

    def _wake(self) -> None:
        while self._waiting and self._fits(self._waiting[0].size, self._waiting[0].held):
            waiter = self._waiting.popleft()
            self._add(waiter.size)
            if not waiter.room.done():
                waiter.room.set_result(None)

    def _fits(self, size: int, held: int) -> bool:
        # a request larger than everything is let in alone
        return self._held + size <= self._limit or self._held == held

    def _add(self, size: int) -> None:
        self._held += size
        self._metrics.gauge("hopline_receive_inflight_bytes", self._held)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    """A claim for *size* bytes of a request that holds some already."""

    size: int
    held: int
    room: asyncio.Future[None]


class Claim:
    """What one request holds of an `Admission`; as a block, from its first bytes on."""

    def __init__(self, admission: Admission, first: int = 0) -> None:
        self._admission = admission
        self._first = first
        self._size = 0

    async def __aenter__(self) -> Self:
        await self.grow_to(self._first)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()

    async def grow_to(self, size: int) -> None:
        """Hold at least *size* bytes. Raises `Overloaded`."""
        if size > self._size:
            await self._admission.take(size - self._size, self._size)
            self._size = size

    def release(self) -> None:
        self._admission.give_back(self._size)
        self._size = 0


async def read_body(
    receive: Receive, claim: Claim, content_length: int | None, max_bytes: int
) -> bytes:
    """
    Read an ASGI request body of at most *max_bytes*.

    Raises:
        TooLarge: it is longer than that. Never retried.
        Undecodable: the sender went away, is too slow, or sent less than it announced. Never
            retried.
        Overloaded: other requests hold all the memory there is. Retryable.
    """
    if content_length is not None and content_length > max_bytes:
        raise _too_large(max_bytes)
    patience_s = _READ_GRACE_S + (content_length or max_bytes) / _READ_BYTES_PER_S
    try:
        async with asyncio.timeout(patience_s):
            body = await _read_all(receive, claim, max_bytes)
    except TimeoutError:
        raise Undecodable(f"the body did not arrive within {patience_s:.0f} s") from None
    if content_length is not None and len(body) != content_length:
        # whatever lost the rest, a server or a proxy: to take what is left would be a false yes
        raise Undecodable(f"{content_length} bytes were announced and {len(body)} arrived")
    return body


async def _read_all(receive: Receive, claim: Claim, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Undecodable("the sender went away before the end of the body")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        await claim.grow_to(size)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def inflate(body: bytes, encoding: str, claim: Claim, max_bytes: int) -> bytes:
    """
    Decompress a body to at most *max_bytes*.

    Raises:
        UnsupportedFormat: an encoding other than ENCODINGS. Never retried.
        TooLarge: it would become larger. Never retried.
        Undecodable: it is damaged or cut off. Never retried.
        Overloaded: other requests hold all the memory there is. Retryable.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ENCODINGS:
        raise UnsupportedFormat(
            f"content encoding {encoding[:40]!r} is not read here",
            hint=f"known encodings: {', '.join(ENCODINGS)}",
        )
    if not body:
        return b""
    reader = _open_reader(body, encoding)
    chunks: list[bytes] = []
    size = 0
    try:
        while size <= max_bytes:  # one byte above the cap is enough to know
            step = min(_INFLATE_STEP_BYTES, max_bytes + 1 - size)
            if len(body) > _THREAD_BYTES:
                chunk = await asyncio.to_thread(reader.read, step)
            else:
                chunk = reader.read(step)
            if not chunk:
                break
            size += len(chunk)
            await claim.grow_to(len(body) + size)
            chunks.append(chunk)
    except _DAMAGED as exc:
        raise Undecodable(f"the body is not {encoding}: {exc}") from exc
    if size > max_bytes:
        raise _too_large(max_bytes)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class _Reader(Protocol):
    """What is inflated step by step; empty at the end."""

    def read(self, size: int, /) -> bytes: ...


def _open_reader(body: bytes, encoding: str) -> _Reader:
    if encoding == "zstd":
        return _ZstdReader(body)
    if encoding == "gzip":
        return _Inflater(body, _GZIP_WBITS)
    # HTTP means the zlib format, some senders send the bare one
    is_zlib = body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    return _Inflater(body, _ZLIB_WBITS if is_zlib else _RAW_WBITS)


class _Inflater:
    """gzip, of one or more members, or deflate. isal: 1.5-2.5 times as fast as zlib."""

    def __init__(self, body: bytes, wbits: int) -> None:
        self._rest = body
        self._wbits = wbits
        self._inner = isal_zlib.decompressobj(wbits)

    def read(self, size: int, /) -> bytes:
        while True:
            if self._inner.eof:
                rest = self._inner.unused_data
                if self._wbits != _GZIP_WBITS or not rest.strip(b"\0"):
                    return b""
                self._rest, self._inner = rest, isal_zlib.decompressobj(self._wbits)
            out: bytes = self._inner.decompress(self._rest, size)
            self._rest = self._inner.unconsumed_tail
            if out:
                return out
            if not self._inner.eof and not self._rest:
                raise Undecodable("the compressed body is cut off")


class _ZstdReader:
    """
    zstd frames, fed little by little.

    The library has no cap on the output of a step, but a block of 4 bytes makes 128 KiB at most,
    so a step makes 32 MiB at most. Its own reader has a cap, and takes a body that is cut off for
    a whole one.
    """

    def __init__(self, body: bytes) -> None:
        self._rest = memoryview(body)
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
        self._inner = self._decompressor.decompressobj()

    def read(self, _: int, /) -> bytes:
        while True:
            if self._inner.eof:
                unused = len(self._inner.unused_data)
                if not unused and not self._rest:
                    return b""
                start = len(self._rest) + unused
                self._rest = memoryview(self._rest.obj)[-start:]
                self._inner = self._decompressor.decompressobj()
            if not self._rest:
                raise Undecodable("the compressed body is cut off")
            out = self._inner.decompress(self._rest[:_ZSTD_STEP_BYTES])
            self._rest = self._rest[_ZSTD_STEP_BYTES:]
            if out:
                return out


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(
        f"the request is larger than {max_bytes} bytes",
        hint="send smaller batches, or raise HOPLINE_MAX_BODY_BYTES",
    )
