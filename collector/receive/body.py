"""
Request bodies: admitted by bytes in flight, read up to a cap, inflated up to a cap.

The cap of all bodies together is what bounds the memory of the process, whatever the number of
connections. A body is counted as it arrives and as it is inflated, so that one that is announced
and does not come costs nobody anything.
"""

import asyncio
import bisect
import io
import itertools
import types
from collections.abc import Generator, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, Self

import cramjam
import lz4.frame
import zstandard
from isal import isal_zlib
from isal.igzip_lib import IsalError

from collector.errors import Overloaded, TooLarge, TooSlow, Undecodable, UnsupportedFormat
from collector.http.asgi import Message, Receive
from collector.telemetry import Metrics

ENCODINGS = ("identity", "gzip", "deflate", "zstd", "lz4", "snappy", "x-snappy-framed")
# a request that holds nothing yet is told early to come back; one that holds something goes on
_CLAIM_WAIT_S = 5.0
_GROW_WAIT_S = 30.0
_MOST_WAITING = 500
_RETRY_AFTER_S = 2
# room that only small requests may use, so that they never wait for the large ones
_SMALL_BYTES = 256 * 1024
_SMALL_ROOM_RATIO = 8
# what one sender may hold of it all
_SHARE_RATIO = 2
# a sender slower than this holds memory that others wait for
_READ_GRACE_S = 15.0
_READ_BYTES_PER_S = 64 * 1024
_INFLATE_STEP_BYTES = 1024 * 1024
# from here on bodies take turns
_LARGE_BYTES = 4 * 1024 * 1024
# isal releases the interpreter lock, but a small body is done before a thread would start
_THREAD_BYTES = 256 * 1024
# RFC 8878 asks decoders for 8 MiB; more is only useful for archives
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
_FRAME_STEP_BYTES = 1024
# google/snappy's framing format: what it begins with, a chunk's head, the most that one makes
_SNAPPY_MAGIC = b"\xff\x06\0\0sNaPpY"
_SNAPPY_HEAD_BYTES = 4
_SNAPPY_CHUNK_BYTES = 76_490
# its block format copies at most 64 bytes by 3
_SNAPPY_MOST_RATIO = 22
_GZIP_WBITS, _ZLIB_WBITS, _RAW_WBITS = 31, 15, -15
# isal's stub calls its error a text
_DAMAGED: tuple[type[Exception], ...] = (IsalError, zstandard.ZstdError, cramjam.DecompressionError)  # type: ignore[assignment]


class Admission:
    """
    Bytes of requests that may be held at once, claimed as they arrive.

    A share is what one sender holds, and it is at most half of the room. An eighth of the room is
    kept for small requests. Who finds no room waits, in the order in which the requests began; when
    all that is held belongs to requests that wait, the one that began first goes on. Waiting ends
    with `Overloaded`. Bodies that are large when inflated take turns, from then until their end, so
    that their memory does not add up.
    """

    def __init__(self, limit_bytes: int, metrics: Metrics) -> None:
        self._limit = limit_bytes
        self._all = _Share()
        metrics.watch("hopline_receive_inflight_bytes", lambda: self._all.held)
        self._shares: dict[Hashable, _Share] = {}
        self._waiting: list[_Waiter] = []
        self._numbers = itertools.count()
        self._turn = asyncio.Lock()
        self.large_one_ended = asyncio.Event()

    def claim(self, sender: Hashable = "") -> "Claim":
        """Let a request of *sender* hold bytes, none at first, until the block is left."""
        return Claim(self, sender, next(self._numbers))

    async def take(self, claim: "Claim", size: int) -> None:
        """Wait for room for *size* bytes more for *claim*. Raises `Overloaded`."""
        share = self._shares.get(claim.sender) or self._shares.setdefault(claim.sender, _Share())
        if not self._waiting and self._has_room(claim.size + size, size, share):
            self._hold(claim, size, share)
            return
        waiter = _Waiter(claim, size, share)
        if not self._waiting and self._fits(waiter):
            self._grant(waiter)
            return
        if len(self._waiting) >= _MOST_WAITING and not claim.size:
            raise self._overloaded()
        waiter.room = asyncio.get_running_loop().create_future()
        bisect.insort(self._waiting, waiter, key=lambda each: each.claim.number)
        self._count_waiting(waiter, claim.size)
        self._wake()
        try:
            async with asyncio.timeout(_GROW_WAIT_S if claim.size else _CLAIM_WAIT_S):
                await waiter.room
        except BaseException as exc:
            self._forget(waiter)
            if not isinstance(exc, TimeoutError):
                raise
            raise self._overloaded() from None

    def give_back(self, sender: Hashable, size: int) -> None:
        """Free *size* bytes of *sender*."""
        share = self._shares.get(sender)
        if share is None:
            return
        share.held -= size
        self._all.held -= size
        self._drop_empty(sender, share)
        if self._waiting:
            self._wake()

    async def wait_for_turn(self) -> None:
        """Be the one whose large body is worked at; `end_turn` afterwards. Raises `Overloaded`."""
        try:
            async with asyncio.timeout(_GROW_WAIT_S):
                await self._turn.acquire()
        except TimeoutError:
            raise self._overloaded() from None

    def end_turn(self) -> None:
        """Let the next one begin."""
        self._turn.release()
        self.large_one_ended.set()

    def take_at_once(self, claim: "Claim", size: int) -> None:
        """Hold *size* bytes more for the one whose turn it is: it waits for nobody."""
        self._hold(claim, size, self._shares.setdefault(claim.sender, _Share()))

    def count_paused(self, sender: Hashable, size: int) -> None:
        """Count bytes that are held without being worked at; negative when their turn has come."""
        share = self._shares.get(sender)
        if share is not None:
            share.waiting += size
            self._all.waiting += size
            if size > 0 and self._waiting:
                self._wake()

    def _overloaded(self) -> Overloaded:
        return Overloaded(
            f"{self._all.held} bytes of requests are being handled",
            hint="send less at once, or raise HOPLINE_MAX_INFLIGHT_BYTES",
            retry_after_s=_RETRY_AFTER_S,
        )

    def _forget(self, waiter: "_Waiter") -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            self._count_waiting(waiter, -waiter.claim.size)
            self._drop_empty(waiter.claim.sender, waiter.share)
            self._wake()
        # else it got its room in the moment in which it gave up, and gives it back with the rest

    def _wake(self) -> None:
        is_blocked = False
        for waiter in list(self._waiting):
            if is_blocked and not waiter.is_small:
                continue
            if self._fits(waiter):
                self._waiting.remove(waiter)
                self._count_waiting(waiter, -waiter.claim.size)
                self._grant(waiter)
            elif self._fits_share(waiter):  # for its own share nobody else has to wait
                is_blocked = True

    def _grant(self, waiter: "_Waiter") -> None:
        self._hold(waiter.claim, waiter.size, waiter.share)
        if waiter.room is not None and not waiter.room.done():
            waiter.room.set_result(None)

    def _hold(self, claim: "Claim", size: int, share: "_Share") -> None:
        share.held += size
        claim.size += size
        self._all.held += size

    def _has_room(self, whole: int, size: int, share: "_Share") -> bool:
        """Tell whether *size* bytes more fit, of a request that then holds *whole*."""
        return share.held + size <= self._limit // _SHARE_RATIO and self._all.held + size <= (
            self._room_for(whole)
        )

    def _room_for(self, whole: int) -> int:
        kept = 0 if whole <= _SMALL_BYTES else self._limit // _SMALL_ROOM_RATIO
        return self._limit - kept

    def _fits(self, waiter: "_Waiter") -> bool:
        room = self._room_for(waiter.claim.size + waiter.size)
        return self._fits_share(waiter) and (
            self._all.held + waiter.size <= room or self._is_next(waiter, self._all, None)
        )

    def _fits_share(self, waiter: "_Waiter") -> bool:
        share = waiter.share
        return share.held + waiter.size <= self._limit // _SHARE_RATIO or self._is_next(
            waiter, share, share
        )

    def _is_next(self, waiter: "_Waiter", share: "_Share", among: "_Share | None") -> bool:
        """Tell whether nobody would ever make room for *waiter*, and it is the first in line."""
        if share.held == waiter.claim.size:
            return True
        first = next((w for w in self._waiting if among is None or w.share is among), None)
        return first is waiter and share.held == share.waiting

    def _count_waiting(self, waiter: "_Waiter", size: int) -> None:
        waiter.share.waiting += size
        self._all.waiting += size

    def _drop_empty(self, sender: Hashable, share: "_Share") -> None:
        if not share.held and not any(each.share is share for each in self._waiting):
            self._shares.pop(sender, None)


@dataclass(slots=True, eq=False)
class _Share:
    """Bytes held, and those of them that belong to requests that wait, for more or their turn."""

    held: int = 0
    waiting: int = 0


@dataclass(slots=True, eq=False)
class _Waiter:
    """A claim that needs *size* bytes more."""

    claim: "Claim"
    size: int
    share: _Share
    room: asyncio.Future[None] | None = None

    @property
    def is_small(self) -> bool:
        return self.claim.size + self.size <= _SMALL_BYTES


class Claim:
    """What one request holds of an `Admission`; as a block, until it ends."""

    def __init__(self, admission: Admission, sender: Hashable = "", number: int = 0) -> None:
        self._admission = admission
        self.sender = sender
        self.number = number
        self.size = 0
        self._has_turn = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()

    async def grow_to(self, size: int) -> None:
        """Hold at least *size* bytes. Raises `Overloaded`."""
        if size <= self.size:
            return
        if self._has_turn:
            self._admission.take_at_once(self, size - self.size)
        else:
            await self._admission.take(self, size - self.size)

    async def take_turn(self) -> None:
        """Wait until no other large body is worked at. Raises `Overloaded`."""
        if not self._has_turn:
            await self._admission.wait_for_turn()
            self._has_turn = True

    def end_turn(self) -> None:
        """Let the next large body be worked at, while this one waits for something else."""
        if self._has_turn:
            self._has_turn = False
            self._admission.end_turn()

    def pause(self) -> None:
        """Say that the request waits for others, who need not wait for what it holds."""
        self._admission.count_paused(self.sender, self.size)

    def resume(self) -> None:
        """Say that its turn has come."""
        self._admission.count_paused(self.sender, -self.size)

    def release(self) -> None:
        """Hold nothing any more."""
        self.end_turn()
        size, self.size = self.size, 0
        self._admission.give_back(self.sender, size)


async def read_body(
    receive: Receive, claim: Claim, content_length: int | None, max_bytes: int
) -> bytes:
    """
    Read an ASGI request body of at most *max_bytes*.

    Raises:
        TooLarge: it is longer than that. Never retried.
        Undecodable: the sender went away, or sent less than it announced. Never retried.
        TooSlow: less than 64 KiB a second came for more than 15 seconds. Never retried.
        Overloaded: other requests hold all the memory there is. Retryable.
    """
    if content_length is not None and content_length > max_bytes:
        raise _too_large(max_bytes)
    body = await _read_all(receive, claim, max_bytes)
    if content_length is not None and len(body) != content_length:
        # whatever lost the rest, a server or a proxy: to take what is left would be a false yes
        raise Undecodable(f"{content_length} bytes were announced and {len(body)} arrived")
    return body


async def _read_all(receive: Receive, claim: Claim, max_bytes: int) -> bytes:
    whole: io.BytesIO | None = None
    size = 0
    # the time that the sender takes; that in which it waits for room is not its own
    left_s = _READ_GRACE_S
    clock = asyncio.get_running_loop().time
    while True:
        begin_s = clock()
        try:
            message = await _receive_within(receive, left_s)
        except TimeoutError:
            raise TooSlow(f"{size} bytes of the body arrived, then too few for too long") from None
        if message["type"] != "http.request":
            raise Undecodable("the sender went away before the end of the body")
        chunk = message.get("body", b"")
        left_s += len(chunk) / _READ_BYTES_PER_S - (clock() - begin_s)
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        await claim.grow_to(size)
        is_last = not message.get("more_body", False)
        if whole is None:
            if is_last:
                return bytes(chunk)
            whole = io.BytesIO()
        whole.write(chunk)
        if is_last:
            return whole.getvalue()


async def _receive_within(receive: Receive, left_s: float) -> Message:
    """
    Receive the next message. Raises `TimeoutError`.

    What has arrived already, as all of a small body has, needs no timer, which would cost more
    than all else that is done to such a body here.
    """
    step = receive().__await__()
    try:
        waits_for = next(step)
    except StopIteration as exc:
        found: Message = exc.value
        return found
    async with asyncio.timeout(left_s):
        return await _go_on(step, waits_for)


@types.coroutine
def _go_on(step: Generator[Any, Any, Message], waits_for: Any) -> Generator[Any, Any, Message]:
    """Wait for what *step* has begun to wait for, and go on with it."""
    while True:
        try:
            sent = yield waits_for
        except BaseException as exc:
            go_on = partial(step.throw, exc)
        else:
            go_on = partial(step.send, sent)
        try:
            waits_for = go_on()
        except StopIteration as exc:
            found: Message = exc.value
            return found


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
        if len(body) > _LARGE_BYTES:
            await claim.take_turn()
        return body
    if encoding not in ENCODINGS:
        raise UnsupportedFormat(
            f"content encoding {encoding[:40]!r} is not read here",
            hint=f"known encodings: {', '.join(ENCODINGS)}",
        )
    if not body:
        return b""
    # grows in place, and is handed out without a copy
    inflated = io.BytesIO()
    size = 0
    try:
        reader = _open_reader(body, encoding, max_bytes)
        if isinstance(reader, _SnappyBlockReader):  # made at once, so there must be room before
            if reader.size > _LARGE_BYTES:
                await claim.take_turn()
            await claim.grow_to(len(body) + reader.size)
        while size <= max_bytes:  # one byte above the cap is enough to know
            step = min(_INFLATE_STEP_BYTES, max_bytes + 1 - size)
            if len(body) > _THREAD_BYTES:
                chunk = await asyncio.to_thread(reader.read, step)
            else:
                chunk = reader.read(step)
            if not chunk:
                break
            size += len(chunk)
            if size > _LARGE_BYTES:
                await claim.take_turn()
            await claim.grow_to(len(body) + size)
            inflated.write(chunk)
    except _DAMAGED as exc:
        raise Undecodable(f"the body is not {encoding}: {exc}") from exc
    if size > max_bytes:
        raise _too_large(max_bytes)
    return inflated.getvalue()


class _Reader(Protocol):
    """What is inflated step by step; empty at the end."""

    def read(self, size: int, /) -> bytes: ...


def _open_reader(body: bytes, encoding: str, max_bytes: int) -> _Reader:
    if encoding == "zstd":
        return _ZstdReader(body)
    if encoding == "lz4":
        return _Lz4Reader(body)
    if encoding in ("snappy", "x-snappy-framed"):
        # the OpenTelemetry Collector has called either of the two formats `snappy`
        is_framed = body.startswith(_SNAPPY_MAGIC) or encoding == "x-snappy-framed"
        return _SnappyFramedReader(body) if is_framed else _SnappyBlockReader(body, max_bytes)
    if encoding == "gzip":
        return _Inflater(body, _GZIP_WBITS)
    # HTTP means the zlib format, some senders send the bare one
    is_zlib = body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    return _Inflater(body, _ZLIB_WBITS if is_zlib else _RAW_WBITS)


# A shipper that closes a member for each line of its log makes some thousands of them.
_MOST_MEMBERS = 10_000
_PIECE_BYTES = 64 * 1024


class _Inflater:
    """gzip, of one or more members, or deflate. isal: 1.5-2.5 times as fast as zlib."""

    def __init__(self, body: bytes, wbits: int) -> None:
        self._body = memoryview(body)
        self._at = 0
        self._piece = b""
        self._wbits = wbits
        self._members = 1
        self._inner = isal_zlib.decompressobj(wbits)

    def read(self, size: int, /) -> bytes:
        while True:
            if self._inner.eof and (self._wbits != _GZIP_WBITS or not self._open_next()):
                return b""
            if not self._piece:
                self._take_piece()
            is_last = self._at == len(self._body)
            out: bytes = self._inner.decompress(self._piece, size)
            self._piece = self._inner.unconsumed_tail
            if out:
                return out
            if not self._inner.eof and not self._piece and is_last:
                raise Undecodable("the compressed body is cut off")

    def _take_piece(self) -> None:
        # what a member leaves of its input is copied: with all of the body at hand, a body of many
        # small members would be copied once for each
        self._piece = bytes(self._body[self._at : self._at + _PIECE_BYTES])
        self._at += len(self._piece)

    def _open_next(self) -> bool:
        """Begin with the next member; padding with zeros is none."""
        self._piece = self._inner.unused_data
        if not self._piece:
            self._take_piece()
        is_zero = self._piece[:1] in (b"", b"\0")
        if is_zero and not (self._piece + bytes(self._body[self._at :])).strip(b"\0"):
            return False
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise Undecodable(f"the compressed body has more than {_MOST_MEMBERS} members")
        self._inner = isal_zlib.decompressobj(self._wbits)
        return True


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
            out = self._inner.decompress(self._rest[:_FRAME_STEP_BYTES])
            self._rest = self._rest[_FRAME_STEP_BYTES:]
            if out:
                return out


class _Lz4Reader:
    """LZ4 frames, fed little by little, as what a frame leaves of its input is copied."""

    def __init__(self, body: bytes) -> None:
        self._rest = memoryview(body)
        self._inner = lz4.frame.LZ4FrameDecompressor()

    def read(self, size: int, /) -> bytes:
        while True:
            if self._inner.eof:
                start = len(self._rest) + len(self._inner.unused_data or b"")
                if not start:
                    return b""
                self._rest = memoryview(self._rest.obj)[-start:]
                self._inner = lz4.frame.LZ4FrameDecompressor()
            piece = b""
            if self._inner.needs_input:
                if not self._rest:
                    raise Undecodable("the compressed body is cut off")
                piece = bytes(self._rest[:_FRAME_STEP_BYTES])
                self._rest = self._rest[_FRAME_STEP_BYTES:]
            try:
                out: bytes = self._inner.decompress(piece, size)
            except RuntimeError as exc:
                raise Undecodable(f"the body is not lz4: {exc}") from exc
            if out:
                return out


class _SnappyFramedReader:
    """Snappy's framing format, chunk by chunk: each makes 64 KiB at most, and has a checksum."""

    def __init__(self, body: bytes) -> None:
        self._rest = memoryview(body)

    def read(self, _: int, /) -> bytes:
        while self._rest:
            end = _SNAPPY_HEAD_BYTES + int.from_bytes(self._rest[1:_SNAPPY_HEAD_BYTES], "little")
            if len(self._rest) < end:
                raise Undecodable("the compressed body is cut off")
            chunk, self._rest = self._rest[:end], self._rest[end:]
            if chunk == _SNAPPY_MAGIC or 0x80 <= chunk[0] < 0xFF:
                continue  # begins again, or is padding
            if chunk[0] > 1 or end > _SNAPPY_CHUNK_BYTES:
                raise Undecodable("the body is not snappy: a chunk has an impossible kind or size")
            if out := bytes(cramjam.snappy.decompress(_SNAPPY_MAGIC + chunk)):
                return out
        return b""


class _SnappyBlockReader:
    """Snappy's block format: one block that says how long it becomes, made at once."""

    def __init__(self, body: bytes, max_bytes: int) -> None:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > max_bytes:
            raise _too_large(max_bytes)
        if size > len(body) * _SNAPPY_MOST_RATIO:
            raise Undecodable(f"the body is not snappy: {len(body)} bytes cannot become {size}")
        self.size = size
        self._body = body

    def read(self, _: int, /) -> bytes:
        body, self._body = self._body, b""
        return bytes(cramjam.snappy.decompress_raw(body)) if body else b""


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(
        f"the request is larger than {max_bytes} bytes",
        hint="send smaller batches, or raise HOPLINE_MAX_BODY_BYTES",
    )
