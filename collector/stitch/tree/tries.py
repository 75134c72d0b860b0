"""
Which calls are tries of one call: the same method and target again, after an earlier one failed.

A service that is called several times is not called again for that: item 3 after item 2, a check
before the request itself, the parts of a GraphQL query. What was asked shows in method and target;
a span that tells neither (`GET`, `GET /items/{id}`) is a try only where its caller says so, by a
counter or by one client span above all tries.

Source: OpenTelemetry semantic conventions (`http.request.resend_count`, `url.*`, `db.query.text`,
`rpc.method`) and their older names; Envoy (`retry.count`); hedging in Envoy and gRPC.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from collector.decode.outcome import GRPC_CANCELLED
from collector.stitch.tree.nodes import Node

_RETRY_KEYS = ("retry.count", "http.request.resend_count", "http.resend_count")
_METHOD_KEYS = ("http.request.method", "http.method")
# What was asked for, the most exact first.
_TARGET_KEYS = (
    "url.full",
    "http.url",
    "url.path",
    "http.target",
    "db.query.text",
    "db.statement",
    "rpc.method",
)
_BEFORE_PATH = re.compile(r"^[a-z][a-z0-9+.-]*://[^/]*", re.IGNORECASE)
# What was asked for at one address that takes all questions: a GraphQL or an AWS endpoint.
_ACTION_KEYS = ("graphql.operation.name", "rpc.method", "db.operation.name")
# A name that says only how it was asked, or a template that stands for many targets.
_BARE_NAME = re.compile(r"^(HTTP )?[A-Z]+$|[{*<]|/:")
_CANCELLED_WORDS = re.compile(r"cancel|AbortError|request aborted", re.IGNORECASE)
_TRY_AGAIN = (408, 425, 429)
# Answers to what was asked: the same question again gets the same answer. HTTP, then gRPC.
_IN_VAIN = frozenset({400, 404, 405, 406, 410, 413, 414, 415, 422})
_IN_VAIN_GRPC = frozenset({3, 5, 6, 9, 11, 12})

# The ends of one moment are stamped within this.
_NOISE_NS = 2_000_000

Key = tuple[str, str, str]


def call_key(service: str, nodes: Sequence[Node]) -> tuple[Key, bool]:
    """
    Return what was asked of *service* by the spans of one call, outermost first.

    Returns:
        A key that equal calls share, and whether it tells the target: without one, equal keys prove
        nothing.
    """
    method = target = action = ""
    for node in nodes:
        action = action or _first_of(node.attributes, _ACTION_KEYS)
        method = method or _first_of(node.attributes, _METHOD_KEYS)
        target = target or _target_of(node.attributes)
    asked = f"{method} {action}".strip()
    if target:
        return (service, asked, target), True
    # a client's span is often called by the method alone, that of what it called by the route too
    told = (node.name for node in nodes if node is nodes[0] or _is_named_by_route(node))
    name = next((name for name in told if not _BARE_NAME.search(name)), "")
    return (service, asked, name or nodes[0].name), bool(name)


def _is_named_by_route(node: Node) -> bool:
    return node.side == "server" and not node.is_proxy


def is_try_again(earlier: Node, later: Node, *, is_same_target: bool) -> bool:
    """Tell whether *later* is one more try of the call that *earlier* opened."""
    if any(later.attributes.get(key, "0") not in ("", "0") for key in _RETRY_KEYS):
        return True
    if _is_one_call(earlier, later):
        return True
    if not is_same_target:
        return False
    if later.raw_start < earlier.raw_end:
        # Hedged tries: the one that is not needed any more is cancelled.
        return was_cancelled(earlier) != was_cancelled(later)
    if earlier.status_code in _IN_VAIN or earlier.grpc_status in _IN_VAIN_GRPC:
        return False
    return earlier.is_error or bool(earlier.grpc_status) or earlier.status_code in _TRY_AGAIN


def mark_outrun(tries: Sequence[Node]) -> None:
    """
    Set `is_outrun` of each try that nobody waited for: one beside it brought the answer.

    It was cancelled, or it went on when the call that made both of them had its answer.
    """
    good = [node for node in tries if not (node.is_error or was_cancelled(node))]
    if not good:
        return
    in_time = [node for node in good if not _outlasts_call(node)]
    is_beside_good, is_beside_timely = _overlap_with(good), _overlap_with(in_time)
    for node in tries:
        if was_cancelled(node):
            node.is_outrun = is_beside_good(node)
        elif _outlasts_call(node):
            node.is_outrun = is_beside_timely(node)


def _overlap_with(others: Sequence[Node]) -> Callable[[Node], bool]:
    """Return what tells whether a node runs while one of *others* does; they may be thousands."""
    ordered = sorted(others, key=lambda node: node.raw_start)
    starts = [node.raw_start for node in ordered]
    last_ends = list(accumulate((node.raw_end for node in ordered), max))

    def is_beside(node: Node) -> bool:
        begun = bisect_left(starts, node.raw_end)
        return begun > 0 and last_ends[begun - 1] > node.raw_start

    return is_beside


def _outlasts_call(node: Node) -> bool:
    parent = node.parent
    return (
        parent is not None and parent.side == "client" and node.raw_end > parent.raw_end + _NOISE_NS
    )


def was_cancelled(node: Node) -> bool:
    """
    Tell whether a call ended because its own caller did not want the answer any more.

    Source: gRPC (status 1); what HTTP clients write as `error.type`, message or exception.
    """
    if node.grpc_status == GRPC_CANCELLED:
        return True
    span = node.span
    if node.side != "client" or node.is_proxy or node.status_code or span is None:
        return False
    said = [node.attributes.get("error.type", ""), span.status_message]
    said += (e.attributes.get("exception.type", "") for e in span.events if e.name == "exception")
    return any(_CANCELLED_WORDS.search(words) for words in said)


def _is_one_call(earlier: Node, later: Node) -> bool:
    # Hedged tries overlap and none of them failed, but one client side made them all.
    parent = earlier.parent
    return parent is later.parent and parent is not None and parent.fans_out


def _target_of(attributes: Mapping[str, str]) -> str:
    for key in _TARGET_KEYS:
        value = attributes.get(key)
        if value:
            query = attributes.get("url.query", "") if key == "url.path" else ""
            path = _BEFORE_PATH.sub("", value).partition("#")[0] or "/"
            return f"{path}?{query}" if query else path
    return ""


def _first_of(attributes: Mapping[str, str], keys: Sequence[str]) -> str:
    return next((value for key in keys if (value := attributes.get(key))), "")
