"""
Unary gRPC calls that carry telemetry: OTLP's three services, and whatever another door registers.

Messages arrive as bytes and compressed: our own inflation is counted, capped and twice as fast.

Source: OTLP specification 1.11.0, OTLP/gRPC; gRPC over HTTP/2 (message encoding).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import grpc
import grpc.aio

from collector.errors import CollectorError, TooSlow, Undecodable
from collector.http.grpc_server import (
    Context,
    RpcHandler,
    call_address,
    call_authorization,
    place_call,
    start_grpc_server,
)
from collector.http.tenants import Gate
from collector.http.tokens import NOBODY, Caller
from collector.intake import Intake
from collector.model import Envelope, Receipt, Stream
from collector.receive.body import inflate
from collector.receive.doorway import Doorway, as_refusal
from collector.receive.status import PROTOBUF, build_status, encode_receipt
from collector.settings import ReceiveSettings

DOOR = "otlp-grpc"
_PACKAGE = "/opentelemetry.proto.collector"
_MESSAGE_WAIT_S = 60.0

Behavior = Callable[[object, Context], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class GrpcMethod:
    """What one method takes, and the response message for a receipt."""

    signal: Stream
    format: str
    door: str
    source: str
    answer: Callable[[Receipt], bytes]


OTLP_METHODS: Mapping[str, GrpcMethod] = {
    f"{_PACKAGE}.{package}.v1.{service}/Export": GrpcMethod(
        signal=signal,
        format="otlp-protobuf",
        door=DOOR,
        source="otlp",
        answer=partial(encode_receipt, signal, content_type=PROTOBUF),
    )
    for package, service, signal in (
        ("trace", "TraceService", Stream.TRACE),
        ("logs", "LogsService", Stream.LOG),
        ("metrics", "MetricsService", Stream.METRIC),
    )
}


class _Patience:
    """
    Reads the messages of calls, and ends calls whose message is not there after *limit_s*.

    One timer looks after all of them, for one each costs as much as looking a small message through
    for secrets. A call may so wait a tenth longer.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        # in the order in which they began; None: ended for having waited too long
        self._began_s: dict[asyncio.Task[object], float | None] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, context: Context) -> object:
        """Return the message of *context*, or gRPC's EOF. Raises `TooSlow`, `Undecodable`."""
        task = asyncio.current_task()
        assert task is not None, "gRPC runs each call as a task"
        loop = task.get_loop()
        self._began_s[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._limit_s / 10, self._look, loop)
        try:
            return await context.read()
        except asyncio.CancelledError:
            if self._began_s[task] is None:
                task.uncancel()
                raise TooSlow(f"no message arrived within {self._limit_s:g} s") from None
            # the sender went away, or gRPC's own library refused its grpc-encoding or its size
            raise Undecodable("the call ended before its message was read") from None
        finally:
            del self._began_s[task]

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        latest_s = loop.time() - self._limit_s
        for task, began_s in self._began_s.items():
            if began_s is not None and began_s > latest_s:
                break
            if began_s is not None:
                self._began_s[task] = None
                task.cancel()
        self._timer = None
        if self._began_s:
            self._timer = loop.call_later(self._limit_s / 10, self._look, loop)


class GrpcDoor(RpcHandler):
    """
    Serves *methods*. Calls without a known token end before their message is read.

    The methods are registered as client-streaming ones, which is the same on the wire for one
    message: only then is it ours to say when the message is read.
    """

    def __init__(self, methods: Mapping[str, GrpcMethod], doorway: Doorway) -> None:
        self._doorway = doorway
        self._patience = _Patience(_MESSAGE_WAIT_S)
        self._handlers = {
            path: grpc.stream_unary_rpc_method_handler(self._behavior(method))
            for path, method in methods.items()
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        return self._handlers.get(handler_call_details.method)

    def _behavior(self, method: GrpcMethod) -> Behavior:
        async def export(_: object, context: Context) -> bytes:
            intake = self._doorway.intake
            try:
                caller = admit_call(context, self._doorway.gate)
                intake = intake.of(caller.tenant)
                return method.answer(await self._accept(intake, caller, method, context))
            except Exception as exc:
                error = as_refusal(exc)
                intake.refuse(method.door, method.source, method.signal, error)
            await refuse(context, error)
            raise AssertionError("abort raises")

        return export

    async def _accept(
        self, intake: Intake, caller: Caller, method: GrpcMethod, context: Context
    ) -> Receipt:
        intake.check_room()
        doorway, sender = self._doorway, (call_address(context), caller)
        doorway.queue.check(sender)
        async with doorway.admission.claim(sender) as claim:
            message = await self._patience.read(context)
            body = message if isinstance(message, bytes) else b""  # EOF: an empty request
            received_ns = doorway.clock.now_ns()
            await claim.grow_to(len(body))
            limit = doorway.settings.max_body_bytes
            async with doorway.queue.turn(claim):
                body = await inflate(body, sniff_encoding(body), claim, limit)
                envelope = Envelope(
                    signal=method.signal,
                    format=method.format,
                    body=body,
                    received_ns=received_ns,
                    door=method.door,
                    source=method.source,
                    peer=context.peer(),
                )
                return await intake.accept(envelope)


@asynccontextmanager
async def open_grpc(
    settings: ReceiveSettings, port: int, handlers: Sequence[RpcHandler], *, drain_s: float = 10
) -> AsyncIterator[int]:
    """
    Serve doors on *port* until the block is left, then let calls under way finish in *drain_s*.

    Returns:
        The port, which the system chooses when *port* is 0.

    Raises:
        ConfigError: the address cannot be bound.
    """
    server, bound = await start_grpc_server(
        settings.bind,
        port,
        handlers,
        max_message_bytes=settings.max_body_bytes,
        tls=settings.tls,
        is_shared=settings.shares_ports,
    )
    try:
        yield bound
    finally:
        await server.stop(drain_s)


async def refuse(context: Context, error: CollectorError) -> None:
    """End a call with an error: code, text, and the details that say whether to retry."""
    status = build_status(error)
    await context.abort(
        grpc.StatusCode[error.grpc_status],
        status.message,
        trailing_metadata=(("grpc-status-details-bin", status.SerializeToString()),),
    )


def admit_call(context: Context, gate: Gate) -> Caller:
    """Return who calls, for which tenant. Raises `Unauthenticated`, `WrongTenant`."""
    caller = NOBODY
    if gate.tokens.are_needed:
        caller = gate.tokens.check_header(call_authorization(context))
    return place_call(context, caller, gate.tenancy)


def sniff_encoding(message: bytes) -> str:
    """
    Tell a compressed message by its first bytes; the call's own header is not handed out.

    No export request begins like that: 1f is no valid tag, 78 would be a field 15 that none has.
    """
    if message[:2] == b"\x1f\x8b":
        return "gzip"
    if message[:1] == b"\x78" and len(message) > 6 and int.from_bytes(message[:2]) % 31 == 0:
        return "deflate"
    return "identity"
