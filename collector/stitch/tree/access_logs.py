"""
Access logs beside the spans: more facts for a span, or spans where none arrived.

A proxy's log line knows what its span does not: response code details, why the upstream connection
failed, how many tries there were. Where a mesh writes access logs only, the lines of one request
are turned into spans that say so, and nested by who called whom.
"""

from collections.abc import Iterable, Sequence

from collector.decode.envoy.access_log import AccessLogEntry, entry_from_log, instance_of_node
from collector.identity.ids import request_id_key
from collector.model import GatewayRecord, LogRecord, Span
from collector.stitch.tree.nodes import Node, derived_span_id
from collector.stitch.tree.roles import identify
from collector.stitch.tree.siblings import bare_name

FROM_ACCESS_LOG = "hopline.from_access_log"
_MS = 1_000_000
_MAX_CANDIDATES = 64


def read_entries(logs: Iterable[LogRecord]) -> list[AccessLogEntry]:
    """Return the access log entries among *logs*, each once, in an order of their own."""
    entries = {entry for log in logs if (entry := entry_from_log(log)) is not None}
    return sorted(entries, key=_order)


def add_evidence(nodes: Iterable[Node], entries: Sequence[AccessLogEntry]) -> None:
    """
    Lay what the logs say under the attributes of the proxy spans that they belong to.

    The span id of a line is the proxy's own, or its caller's where only a header was logged that
    the proxy had not written anew yet (it aborted before its router): node id and service tell.
    """
    if not entries:
        return
    by_id: dict[tuple[str, str], list[Node]] = {}
    by_parent: dict[tuple[str, str], list[Node]] = {}
    by_request: dict[str, list[Node]] = {}
    for node in nodes:
        if node.span is None or not node.is_proxy:
            continue
        by_id.setdefault((node.trace_id, node.span.span_id), []).append(node)
        by_parent.setdefault((node.trace_id, node.span.parent_span_id), []).append(node)
        key = request_id_key(node.attributes.get("guid:x-request-id", ""))
        if key:
            by_request.setdefault(key, []).append(node)
    for entry in entries:
        place = (entry.trace_id, entry.span_id)
        match = _closest(entry, by_id.get(place, ())) if entry.span_id else None
        if match is None and entry.span_id and (entry.instance or entry.service):
            match = _closest(entry, by_parent.get(place, ()))
        if match is None and (entry.instance or entry.direction):
            match = _closest(entry, by_request.get(request_id_key(entry.request_id), ()))
        if match is not None:
            _lay_under(match, entry)


def spans_from_entries(
    entries: Sequence[AccessLogEntry],
    subject: str = "",
    records: Sequence[GatewayRecord] = (),
) -> list[Span]:
    """
    Return the spans that the access logs of one request stand for.

    Entries of one request share a request id; of several requests, as one client's trace may hold,
    the one of *subject* is taken: by its own id, by an id of the gateway record that *subject*
    names, by the time of that record, or the first. An inbound entry is the child of the outbound
    one that called its service, an outbound entry the child of the inbound one of the same service.
    """
    one = _of_one_request(entries, subject, records)
    ids = [
        derived_span_id(e.request_id, e.service, e.direction, str(e.start_ns), str(i))
        for i, e in enumerate(one)
    ]
    trace_id = next((e.trace_id for e in one if e.trace_id), "")
    spans = []
    for number, entry in enumerate(one):
        parent = _caller_of(number, one)
        spans.append(_span(entry, trace_id, ids[number], "" if parent is None else ids[parent]))
    return spans


def _of_one_request(
    entries: Sequence[AccessLogEntry], subject: str, records: Sequence[GatewayRecord]
) -> list[AccessLogEntry]:
    groups: dict[str, list[AccessLogEntry]] = {}
    for entry in entries:
        groups.setdefault(request_id_key(entry.request_id) or entry.trace_id, []).append(entry)
    key = request_id_key(subject)
    named = [record for record in records if key and key in _keys_of(record)] or records
    keys = [key, *sorted({known for record in named for known in _keys_of(record)})]
    for known in keys:
        if known in groups:
            return groups[known]
    if not named:
        return next(iter(groups.values()), [])
    start_ns = min(record.start_ns for record in named)
    return min(groups.values(), key=lambda group: abs(group[0].start_ns - start_ns), default=[])


def _keys_of(record: GatewayRecord) -> set[str]:
    texts = (record.record_id, *(each.value for each in record.ids))
    return {request_id_key(text) for text in texts} - {""}


def _caller_of(number: int, entries: Sequence[AccessLogEntry]) -> int | None:
    entry = entries[number]
    slack = entry.resolution_ns + _MS
    found: list[tuple[int, int]] = []
    for other in range(max(0, number - _MAX_CANDIDATES), number + _MAX_CANDIDATES):
        if other == number or other >= len(entries):
            continue
        candidate = entries[other]
        end = candidate.start_ns + (candidate.duration_ns or 0)
        if not candidate.start_ns - slack <= entry.start_ns <= end + slack:
            continue
        if _calls(candidate, entry) and not _calls(entry, candidate):
            found.append((abs(entry.start_ns - candidate.start_ns), other))
    return min(found)[1] if found else None


def _calls(caller: AccessLogEntry, callee: AccessLogEntry) -> bool:
    if callee.direction == "inbound":
        return caller.direction != "inbound" and bare_name(caller.peer) == bare_name(callee.service)
    return caller.direction == "inbound" and bare_name(caller.service) == bare_name(callee.service)


def _span(entry: AccessLogEntry, trace_id: str, span_id: str, parent_id: str) -> Span:
    status = "" if entry.status is None else str(entry.status)
    attributes = {
        FROM_ACCESS_LOG: "true",
        "component": "proxy",
        "http.method": entry.method,
        "http.url": f"http://{entry.authority}{entry.path}" if entry.authority else entry.path,
        "http.status_code": status,
        "response_flags": ",".join(entry.flags) or "-",
        "upstream_cluster": entry.upstream_cluster,
        "guid:x-request-id": entry.request_id,
        "grpc.status_code": entry.grpc_status,
        **_facts(entry),
    }
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_id,
        name=f"{entry.method} {entry.path}".strip() or "request",
        service=entry.service,
        start_ns=entry.start_ns,
        end_ns=entry.start_ns + max(entry.duration_ns or 0, 0),
        kind="Server" if entry.direction == "inbound" else "Client",
        attributes={name: value for name, value in attributes.items() if value},
    )


def _facts(entry: AccessLogEntry) -> dict[str, str]:
    facts = {
        "response_code_details": entry.response_code_details,
        "connection_termination_details": entry.termination_details,
        "upstream_transport_failure_reason": entry.transport_failure,
        "upstream_request_attempt_count": entry.attempts,
        "route_name": entry.route,
        "upstream_host": entry.upstream_host,
        "upstream_service_time_ns": entry.upstream_ns,
        "request_duration_ns": entry.request_ns,
        "request_tx_duration_ns": entry.request_tx_ns,
        "response_duration_ns": entry.response_ns,
        "response_tx_duration_ns": entry.response_tx_ns,
    }
    return {f"access_log.{name}": str(value) for name, value in facts.items() if value}


def _lay_under(node: Node, entry: AccessLogEntry) -> None:
    span = node.span
    assert span is not None
    logged = {**_facts(entry), **span.attributes}
    if entry.flags and span.attributes.get("response_flags", "-") == "-":
        logged["response_flags"] = ",".join(entry.flags)
    if entry.status is not None:
        logged.setdefault("http.status_code", str(entry.status))
    if entry.grpc_status:
        logged.setdefault("grpc.status_code", entry.grpc_status)
    node.attributes = logged
    node.is_logged = True
    identify(node)


def _closest(entry: AccessLogEntry, nodes: Sequence[Node]) -> Node | None:
    side = entry.direction
    near = [
        node
        for node in nodes
        if (not side or _role_side(node) in ("", side))
        and abs(node.raw_start - entry.start_ns) <= entry.resolution_ns + 2 * _MS
        and (not entry.service or bare_name(node.service) == bare_name(entry.service))
        and _may_be_of(entry, node)
    ]
    return min(near, key=lambda n: (abs(n.raw_start - entry.start_ns), n.order()), default=None)


def _may_be_of(entry: AccessLogEntry, node: Node) -> bool:
    """Tell whether line and span can be of one proxy; client spans may not say whose they are."""
    instance = instance_of_node(node.attributes.get("node_id", ""))
    return not instance or not entry.instance or instance == entry.instance


def _role_side(node: Node) -> str:
    if node.role == "server_proxy":
        return "inbound"
    return "outbound" if node.role in ("client_proxy", "edge") else ""


def _order(entry: AccessLogEntry) -> tuple[object, ...]:
    return (
        entry.start_ns,
        -(entry.duration_ns or 0),
        entry.service,
        entry.direction,
        repr(entry),
    )
