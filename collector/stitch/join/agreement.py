"""
What speaks for and against a record and a span being of one request, beside their ids.

Source: W3C Trace Context 1.0 section 3.2 (a traceparent may be passed on unchanged, so that several
requests carry one); gateways rewrite paths by prefix as a rule (Kong `strip_path`, Envoy
`prefix_rewrite`, API Management `rewrite-uri`).
"""

from collections.abc import Mapping, Sequence

from collector.decode.quality import SECOND_GRANULARITY
from collector.model import GatewayRecord
from collector.stitch.time.timeouts import may_outlast
from collector.stitch.timeline import Evidence
from collector.stitch.tree.nodes import Node

MADE = "gateway"
PASSED_ON = "caller"

# Managed gateways send no spans of their own to anybody.
_WITHOUT_SPANS = ("azure-", "aws-", "apigee")
# Of the backend's time at its proxy, what its own span shows of it at least.
_CALL_SHARE = 0.75
_SECOND_NS = 1_000_000_000
# Two clocks kept by NTP stamp within this, and a proxy's last byte leaves as late.
_JITTER_NS = 1_000_000
# By how much each contradiction lowers the confidence in a join.
_DOUBT = {"method": 0.6, "status": 0.7, "path": 0.8, "time": 0.6}


def maker_of(record: GatewayRecord) -> str:
    """
    Return who made the span id that a record sent on: `MADE`, `PASSED_ON`, or "" if unknown.

    A gateway that sent another id than it was sent made it; one that sent the same passed it on.
    Where only one of the two headers is logged, nobody can tell.
    """
    sent, received = record.outgoing_span_id, record.parent_span_id
    if not sent:
        return PASSED_ON if received else ""
    if not received:
        return ""
    return PASSED_ON if sent == received else MADE


def sent_id(record: GatewayRecord) -> str:
    """Return the span id that what the gateway called names as its parent, "" if unknown."""
    return record.outgoing_span_id or record.parent_span_id


def is_written_by_proxy_of(node: Node, record: GatewayRecord) -> bool:
    """
    Tell whether a span and a record are one proxy's: of one request, at one time.

    Envoys tell by the cluster that they called. Of any other proxy the span that nothing speaks
    against is its own if it lasted longer than the backend's answer, and a call below it as long:
    what was called cannot have.
    """
    if node.side == "client" or node.is_gateway:
        return False
    if record.gateway == "envoy":
        cluster = node.attributes.get("upstream_cluster", "")
        if not node.is_proxy or (record.backend_id and cluster and record.backend_id != cluster):
            return False
    elif not _is_own_view(node, record):
        return False
    slack = slack_of(record) + record.resolution_ns
    is_close = abs(node.raw_start - record.start_ns) <= slack
    if record.duration_ns is None:
        return is_close
    return is_close and abs(node.raw_end - node.raw_start - record.duration_ns) <= slack


def _is_own_view(node: Node, record: GatewayRecord) -> bool:
    if node.is_proxy or record.gateway.startswith(_WITHOUT_SPANS) or record.backend_ns is None:
        return False
    longest = record.backend_ns + record.resolution_ns
    if node.raw_end - node.raw_start <= longest or not _shows_call(
        node, record.backend_ns, longest
    ):
        return False
    is_other_answer = bool(record.status) and node.status_code not in (None, record.status)
    return node.side == "server" and not is_other_answer and not contradictions(record, node)


def _shows_call(node: Node, backend_ns: int, longest_ns: int) -> bool:
    """Tell whether a call below *node* can be the backend's: many log its time to the headers."""
    least_ns = backend_ns * _CALL_SHARE
    took = (child.raw_end - child.raw_start for child in node.children if child.side)
    return any(least_ns <= length <= longest_ns for length in took)


def contradictions(record: GatewayRecord, node: Node) -> tuple[Evidence, ...]:
    """
    Return what a record says of its backend call and the span behind it says otherwise.

    What one of them does not say contradicts nothing. A gateway may turn one status into another,
    so that only the status of its backend counts.
    """
    found = []
    method = method_of(node.attributes)
    if is_against(method, record.backend_method or record.method):
        written = record.backend_method or record.method
        found.append(Evidence(field="method", left=written, right=method))
    path = place_of(node.attributes)[1]
    known = [text for text in (record.backend_path, record.path) if text]
    if path and known and not any(is_same_path(text, path) for text in known):
        found.append(Evidence(field="path", left=known[0], right=path))
    status, seen = record.backend_status, node.status_code
    if status and seen and status // 100 != seen // 100 and not (record.attempts or 0) > 1:
        found.append(Evidence(field="status", left=str(status), right=str(seen)))
    return tuple(found)


def confidence_with(confidence: float, against: Sequence[Evidence]) -> float:
    """Return what is left of *confidence* when these values contradict each other."""
    for one in against:
        confidence *= _DOUBT[one.field]
    return round(confidence, 4)


def slack_of(record: GatewayRecord) -> int:
    """Return how far a span may stand out of its record's time by rounding alone, in ns."""
    coarse = _SECOND_NS if SECOND_GRANULARITY in record.quality else 0
    return max(2 * record.resolution_ns, coarse) + _JITTER_NS


def lies_inside(node: Node, holder: Node, *, ahead_ns: int = 0) -> bool:
    """
    Tell whether a span lies in a record's time, its clock being *ahead_ns* ahead of the record's.

    The end of a call that may outlast its record says nothing, nor does that of a record without a
    duration.
    """
    assert holder.record is not None
    record = holder.record.record
    slack = slack_of(record)
    start, end = node.raw_start - ahead_ns, node.raw_end - ahead_ns
    if start < holder.raw_start - slack:
        return False
    if record.duration_ns is None:
        return True
    if start > holder.raw_end + slack:
        return False
    return end <= holder.raw_end + slack or node.is_async or may_outlast(holder)


def method_of(attributes: Mapping[str, str]) -> str:
    """Return the HTTP method that a span recorded, "" for none."""
    return attributes.get("http.request.method") or attributes.get("http.method", "")


def place_of(attributes: Mapping[str, str]) -> tuple[str, str]:
    """Return host and path that a span recorded, without port and query; "" for what it did not."""
    url = attributes.get("url.full") or attributes.get("http.url", "")
    host, _, path = url.partition("://")[2].partition("/")
    if not host:
        path = attributes.get("url.path") or attributes.get("http.target", "") or url
        return "", path.partition("?")[0]
    return host.partition(":")[0], f"/{path.partition('?')[0]}"


def is_against(seen: str, *written: str) -> bool:
    """Tell whether something was written down, and it is not what was seen."""
    known = {text.lower() for text in written if text}
    return bool(seen and known) and seen.lower() not in known


def is_same_path(left: str, right: str) -> bool:
    """Tell whether two paths may be of one call: equal, or one with a prefix put before it."""
    a = [part for part in left.partition("?")[0].lower().split("/") if part]
    b = [part for part in right.partition("?")[0].lower().split("/") if part]
    shorter, longer = sorted((a, b), key=len)
    return not shorter or longer[-len(shorter) :] == shorter
