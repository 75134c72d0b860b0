"""
The working copy of a span or gateway record while a timeline is stitched.

A `Node` is mutable on purpose: each rule writes its own fields, and the fields say which rule that
is. Nothing outside `stitch/` sees one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from collector.model import GatewayRecord, Span
from collector.stitch.timeline import MergedRecord

# `<workload>-<replica set hash>-<pod>` and `<workload>-<ordinal>`.
_POD_SUFFIX = re.compile(r"-[0-9a-f]{6,10}-[0-9a-z]{5}$|-\d+$")
# A UUID or another hash, an address, an Envoy node id.
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|^[0-9a-f]{12,}$|^[0-9.:]+$|~")

NO_ATTRIBUTES: Mapping[str, str] = {}


@dataclass(slots=True, eq=False)
class Node:
    """
    One span or one gateway record in the tree.

    `start` and `end` are on the timeline's clock once `placement` has run (`raw_start` plus
    `shift`), `end` is never before `start`. `ahead` is how far its clock is ahead of its caller's,
    at least and at most, where other requests have shown it. `side` is `client` or `server` for the
    two ends of a call and "" for anything inside a service. `callee` is whom a client side says it
    calls.

    What rules ask of every node is a field where a property would read as well: each of them is
    read some ten times a node, and as properties they took 7 % of the time of a large trace.
    """

    span_id: str
    trace_id: str
    raw_start: int
    raw_end: int
    span: Span | None = None
    record: MergedRecord | None = None

    # identify
    role: str = "app"
    side: str = ""
    service: str = ""
    instance: str = ""
    host: str = ""
    callee: str = ""
    proxy: str = ""  # sidecar, router, waypoint, envoy, linkerd or "" for no proxy
    is_proxy: bool = False
    status_code: int | None = None
    grpc_status: int | None = None
    is_error: bool = False
    is_mirrored: bool = False
    is_async: bool = False
    is_background: bool = False

    # span or record; access logs add to the attributes
    kind: str = field(init=False)
    attributes: Mapping[str, str] = field(init=False)
    is_gateway: bool = field(init=False)
    is_logged: bool = False

    # tree
    parent: "Node | None" = None
    children: list["Node"] = field(default_factory=list)
    sent_parent_id: str = field(init=False)
    is_orphan: bool = False
    is_of_another: bool = False
    is_inferred: bool = False
    flags: tuple[str, ...] = ()

    # hops
    hop: int = -1
    is_caller_side: bool = False
    fans_out: bool = False
    is_inside: bool = False
    is_outrun: bool = False

    # placement
    start: int = 0
    end: int = 0
    shift: int = 0
    bound: int = 0
    shift_reason: str = ""
    ahead: tuple[int, int] | None = None

    # critical path
    self_time: int = 0
    critical_time: int = 0

    def __post_init__(self) -> None:
        self.is_gateway = self.record is not None
        span = self.span
        self.kind = span.kind if span is not None else "Server"
        self.attributes = span.attributes if span is not None else NO_ATTRIBUTES
        self.sent_parent_id = span.parent_span_id if span is not None else ""

    @property
    def is_span_missing(self) -> bool:
        """Whether it stands for a span that never arrived: nobody knows how that ended."""
        return self.is_inferred and self.span is None and self.record is None

    @property
    def goes_on_with_message(self) -> bool:
        """Whether it works on the message that its parent, in the same service, received."""
        parent = self.parent
        return (
            parent is not None
            and self.kind == "Consumer" == parent.kind
            and self.service == parent.service
        )

    @property
    def duration(self) -> int:
        return self.end - self.start

    @property
    def name(self) -> str:
        if self.span is not None:
            return self.span.name
        if self.record is not None:
            record = self.record.record
            return f"{record.method} {record.route or record.path}".strip() or record.gateway
        return ""

    @property
    def reference(self) -> str:
        """The id under which links and findings speak of this node."""
        if self.record is not None:
            return record_reference(self.record)
        return f"{self.trace_id}/{self.span_id}"

    @property
    def measured_duration(self) -> int | None:
        """The duration, `None` if neither the record says it nor any call below it shows it."""
        duration = self.raw_end - self.raw_start
        return None if duration == 0 and "unmeasured" in self.flags else duration

    def flag(self, name: str) -> None:
        if name not in self.flags:
            self.flags = (*self.flags, name)

    def order(self) -> tuple[int, int, str, str, str]:
        """Sort key that does not depend on the order of arrival."""
        return (self.raw_start, -self.raw_end, self.span_id, self.kind, self.service)


def name_of_gateway(record: GatewayRecord) -> str:
    """Return by what name a gateway is spoken of: its deployment's, never an instance's id."""
    if own := record.attributes.get("service.name"):
        return own
    name = _POD_SUFFIX.sub("", record.instance)
    return record.gateway if not name or _ID.search(name) else name


def record_reference(merged: MergedRecord) -> str:
    """Return `<gateway>/<record id>`."""
    return merged.record.reference


def derived_span_id(*parts: str) -> str:
    """Return a 16-digit id for something that has none of its own, the same one every time."""
    return blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


def walk_down(root: Node) -> list[Node]:
    """Return *root* and everything below it, each subtree in one piece, parents first."""
    found: list[Node] = []
    stack = [root]
    while stack:
        node = stack.pop()
        found.append(node)
        if node.children:
            stack.extend(reversed(node.children))
    return found
