"""
Verdicts that a gateway's own record decides: refused, limited, timed out, unreachable, closed.

Source: Azure API Management error-handling reference (predefined errors), azure-docs
gateway-log-schema-reference.md; nginx 499; Kong `response.source`; AWS `error.responseType`.
"""

import re

from collector.model import GatewayRecord
from collector.stitch.timeline import Verdict
from collector.stitch.tree.nodes import Node

_ABORTED = re.compile(
    r"client.?(connection|closed|abort|disconnect)|downstream.*(reset|termin)", re.I
)
_TIMEOUT = re.compile(r"time.?d?.?out|deadline", re.I)
_UNREACHABLE = re.compile(
    r"backend.?connection|connection.?(failure|refused|error)|unreachable|name.?resol|dns"
    r"|certificate|tls|ssl|no.?healthy|econnrefused",
    re.I,
)
_LIMITED = re.compile(r"rate.?limit|quota|throttl|too.?many", re.I)
_DENIED = re.compile(
    r"subscription|jwt|token|unauthori[sz]ed|forbidden|auth|ip.?filter|caller.?ip|api.?key|denied",
    re.I,
)
_ROUTING = re.compile(r"operation.?not.?found|no.?route|not.?found|no.?match", re.I)
# A required header that the caller did not send: a policy's word, not a route's.
_HEADER = re.compile(r"header", re.I)
_CLASS_OF_STATUS = {
    401: "authentication",
    403: "authorization",
    404: "routing",
    408: "timeout",
    413: "too_large",
    429: "rate_limit",
    499: "client_abort",
    502: "unreachable",
    503: "unavailable",
    504: "timeout",
}


def judge_gateway(node: Node) -> Verdict | None:
    """
    Judge one gateway record, or return `None` when its failure came from behind it.
    """
    assert node.record is not None
    record = node.record.record
    said = " ".join((record.error_reason, record.error_message))
    if record.status == 499 or _ABORTED.search(record.error_reason):
        return _verdict("client", "client", "client_abort", record, 0.95, "CLIENT_ABORT", "client")
    if _was_refused(node, record):
        class_ = _class_of(record, said)
        return _verdict("gateway", node.service, class_, record, 0.95, "GATEWAY_REFUSED", "gateway")
    if _TIMEOUT.search(said) or (record.status == 504 and record.backend_status is None):
        return _verdict(
            "gateway", node.service, "timeout", record, 0.9, "GATEWAY_TIMEOUT", "gateway"
        )
    if _UNREACHABLE.search(said) and not _was_reached(node, record):
        component = record.backend_host or "backend"
        return _verdict("network", component, "unreachable", record, 0.9, "BACKEND_UNREACHABLE", "")
    if record.status in (502, 503) and record.backend_host and not _was_reached(node, record):
        component = record.backend_host
        return _verdict("network", component, "unreachable", record, 0.7, "BACKEND_SILENT", "")
    if _failed_after_backend(node, record):
        class_ = "policy" if record.error_section else "response"
        return _verdict("gateway", node.service, class_, record, 0.9, "GATEWAY_AFTER_BACKEND", "")
    return None


def _was_refused(node: Node, record: GatewayRecord) -> bool:
    """It answered by itself: no backend status, nothing below, and the caller is at fault."""
    if record.backend_status is not None or node.children:
        return False
    if record.error_section.lower() == "inbound":
        return True
    return record.status is not None and 400 <= record.status < 500 and record.status != 408


def _was_reached(node: Node, record: GatewayRecord) -> bool:
    return bool(node.children) or record.backend_status is not None


def _failed_after_backend(node: Node, record: GatewayRecord) -> bool:
    if record.backend_status is None or record.backend_status >= 400:
        return False
    return record.status is None or record.status >= 400


def _class_of(record: GatewayRecord, said: str) -> str:
    # A quota is a 403 and its message says so; other statuses are clearer than any message.
    if _LIMITED.search(said):
        return "rate_limit"
    known = _CLASS_OF_STATUS.get(record.status or 0)
    if known is not None:
        return known
    if _ROUTING.search(said) and not _HEADER.match(record.error_reason):
        return "routing"
    return "authorization" if _DENIED.search(said) else "policy"


def _verdict(
    layer: str,
    component: str,
    class_: str,
    record: GatewayRecord,
    confidence: float,
    rule: str,
    who_closed: str,
) -> Verdict:
    said = [record.error_reason, record.error_message]
    if record.error_section:
        said.append(f"in {record.error_section}")
    reason = ": ".join(part for part in said[:2] if part) + (
        f" ({said[2]})" if len(said) > 2 else ""
    )
    return Verdict(
        layer=layer,
        component=component,
        class_=class_,
        reason=reason.strip() or f"status {record.status}",
        confidence=confidence,
        rule=rule,
        who_closed=who_closed,
    )
