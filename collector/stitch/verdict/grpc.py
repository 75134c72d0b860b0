"""
gRPC's own status, which proxies pass on inside of an HTTP 200.

A proxy or gateway that does not say the gRPC status itself ended as its callee did, unless it
answered otherwise: with another HTTP status, or with a gRPC status of its own.

Source: gRPC over HTTP/2 (the status comes in trailers); google.rpc.Code with its HTTP mapping.
"""

from collections.abc import Sequence

from collector.stitch.tree.nodes import Node

_OK = (None, 200)
_CLASSES = {
    4: "timeout",
    7: "authorization",
    8: "rate_limit",
    14: "unavailable",
    16: "authentication",
}
_CLIENTS_FAULTS = frozenset({3, 5, 6, 9, 10, 11})


def carry_grpc_status(members: Sequence[Node]) -> None:
    """Set `grpc_status` of proxies and gateways that passed on the answer of their last call."""
    for node in reversed(members):
        if node.grpc_status is not None or not (node.is_gateway or node.is_proxy):
            continue
        if node.status_code not in _OK:
            continue
        called = [c for c in node.children if not (c.is_mirrored or c.is_async or c.is_background)]
        if called:
            answer = max(called, key=lambda child: (child.raw_end, child.order()))
            node.grpc_status = answer.grpc_status


def class_of_grpc(code: int) -> str:
    """Return the verdict's class of a gRPC failure."""
    known = _CLASSES.get(code)
    if known is not None:
        return known
    return "client_error" if code in _CLIENTS_FAULTS else "server_error"
