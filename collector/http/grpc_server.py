"""
gRPC servers with the same caps on every port.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc
import grpc.aio

from collector.errors import ConfigError
from collector.http.tenants import Tenancy
from collector.http.tls import open_certificate
from collector.http.tokens import Caller
from collector.settings import TlsSettings

_MAX_METADATA_BYTES = 16 * 1024
_MAX_CONCURRENT_STREAMS = 256
# exporters ask for a new connection when theirs was idle; abandoned ones cost memory
_IDLE_CONNECTION_MS = 10 * 60 * 1000
# what a gateway or a client without a farewell leaves behind is found by a ping
_PING_MS, _PING_WAIT_MS = 60_000, 20_000
# as for the heads of HTTP: who connects has to say something
_HANDSHAKE_MS = 30_000
# the library takes up one call each time the loop comes round, some 1,400 a second whatever becomes
# of them: those above it wait where we cannot see them, and are ended as CANCELLED, which OTLP's
# clients retry. By itself it lets them wait for 30 s, for which no exporter does
_UNTAKEN_S = 3

if TYPE_CHECKING:
    RpcHandler = grpc.GenericRpcHandler[bytes, bytes]
else:
    RpcHandler = grpc.GenericRpcHandler
Context = grpc.aio.ServicerContext[bytes, bytes]


async def start_grpc_server(
    bind: str,
    port: int,
    handlers: Sequence[RpcHandler],
    *,
    max_message_bytes: int,
    tls: TlsSettings,
    is_inflating: bool = False,
    is_shared: bool = False,
) -> tuple[grpc.aio.Server, int]:
    """
    Start a server of any handlers. Messages arrive still compressed unless it *is_inflating* them.

    A port that *is_shared* takes more processes, each of which gets some of the connections.

    Returns:
        The server and its port, which the system chooses when *port* is 0.

    Raises:
        ConfigError: the address cannot be bound.
    """
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.per_message_decompression", int(is_inflating)),
            ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
            ("grpc.max_concurrent_streams", _MAX_CONCURRENT_STREAMS),
            ("grpc.max_connection_idle_ms", _IDLE_CONNECTION_MS),
            ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
            ("grpc.server_max_unrequested_time_in_server", _UNTAKEN_S),
            ("grpc.keepalive_time_ms", _PING_MS),
            ("grpc.keepalive_timeout_ms", _PING_WAIT_MS),
            # else two services on one port would each get half of the calls, and nobody be told
            ("grpc.so_reuseport", int(is_shared)),
            # exporters ping idle connections; the default answer to that is to close them
            ("grpc.http2.min_ping_interval_without_data_ms", 5000),
        )
    )
    server.add_generic_rpc_handlers(handlers)
    certificate = open_certificate(tls)
    host = f"[{bind}]" if ":" in bind else bind
    try:
        bound = (
            server.add_secure_port(f"{host}:{port}", certificate.grpc_credentials())
            if certificate
            else server.add_insecure_port(f"{host}:{port}")
        )
    except RuntimeError as exc:
        raise ConfigError(
            f"cannot listen on {bind} port {port}",
            hint="set another port; 0 turns a door off",
        ) from exc
    await server.start()
    return server, bound


def call_authorization(context: Context) -> str:
    """Return the call's `authorization` metadata, "" when there is none."""
    return next(iter(_call_values(context, "authorization")), "")


def place_call(context: Context, caller: Caller, tenancy: Tenancy) -> Caller:
    """Return *caller* as of the tenant that the call is of. Raises `WrongTenant`."""
    if not tenancy.is_on and not caller.tenant:
        return caller
    named = _call_values(context, tenancy.header) if tenancy.is_on else ()
    return tenancy.place_at(caller, named, call_address(context))


def call_address(context: Context) -> str:
    """Return the address of the caller, as `http.headers.peer` has it."""
    # a peer is ipv4:10.0.0.1:4711, or ipv6:%5B::1%5D:4711
    host = context.peer().partition(":")[2].rpartition(":")[0]
    return host.removeprefix("%5B").removesuffix("%5D")


def _call_values(context: Context, name: str) -> list[str]:
    return [
        value if isinstance(value, str) else value.decode("latin-1")
        for key, value in context.invocation_metadata() or ()
        if key == name
    ]
