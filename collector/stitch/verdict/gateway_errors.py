"""
Verdicts that a gateway's own record decides: refused, limited, timed out, unreachable, closed.

Source: Azure API Management error-handling reference (predefined errors), azure-docs
gateway-log-schema-reference.md; nginx 499; Kong `response.source`; AWS `error.responseType`.
"""

import json
import re
from collections.abc import Mapping

from collector.attributes import GRPC_MESSAGE, HANDLED_ERRORS
from collector.decode.envoy.response_flags import primary_flag
from collector.model import GatewayRecord
from collector.stitch.time.timeouts import is_abandoned
from collector.stitch.timeline import Verdict
from collector.stitch.tree.nodes import Node
from collector.stitch.tree.own_replies import (
    AUTHORIZATION_SERVICE,
    FAULT_WORDS,
    VIA_UPSTREAM,
    called_nobody,
    is_helper_down,
)

_TIMEOUT = re.compile(r"time.?d?.?out|deadline", re.I)
_UNREACHABLE = re.compile(
    r"backend.?connection|connection.?(failure|refused|error)|unreachable|name.?resol|dns"
    r"|certificate|tls|ssl|econnrefused|ehostunreach|enotfound|getaddrinfo|no.such.host"
    r"|name.or.service.not.known|unknown.?host",
    re.I,
)
_UNHEALTHY = re.compile(r"no.?(healthy|live)", re.I)
_RESET = re.compile(
    r"upstream.{0,8}(closed|reset|connection.?termination)|connection.reset|econnreset"
    r"|socket.hang.up",
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
_FAILED = 500
_LIMIT_SERVICE = "rate limit service"
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
    if is_abandoned(node):
        is_begun = record.status is not None and record.status < 400
        sure = 0.8 if is_begun else 0.95
        return _verdict("client", "client", "client_abort", record, sure, "CLIENT_ABORT", "client")
    if record.kind == "websocket" and record.error_source == "backend" and not node.children:
        return _verdict("app", backend_of(record), "reset", record, 0.8, "WEBSOCKET_CLOSED", "")
    if record.error_source == "client" and record.status in (400, 408):
        class_ = "timeout" if record.status == 408 else "protocol"
        return _verdict("client", "client", class_, record, 0.9, "CLIENT_FAULT", "")
    if _is_helper_down(record) and not node.children:
        component = AUTHORIZATION_SERVICE
        return _verdict("dependency", component, "unavailable", record, 0.9, "HELPER_DOWN", "")
    if _was_refused(node, record):
        class_ = _class_of(record, said)
        return _verdict("gateway", node.service, class_, record, 0.95, "GATEWAY_REFUSED", "gateway")
    if _TIMEOUT.search(said) or (record.status == 504 and record.backend_status is None):
        return _verdict(
            "gateway", node.service, "timeout", record, 0.9, "GATEWAY_TIMEOUT", "gateway"
        )
    if (flagged := _judge_flag(node, record)) is not None:
        return flagged
    if (class_ := class_of_way(said)) and not _was_reached(node, record):
        component = backend_of(record)
        return _verdict("network", component, class_, record, 0.9, "BACKEND_UNREACHABLE", "")
    if record.status in (502, 503) and record.backend_host and not _was_reached(node, record):
        component = record.backend_host
        return _verdict("network", component, "unreachable", record, 0.7, "BACKEND_SILENT", "")
    if _failed_after_backend(record):
        class_ = "policy" if record.error_section else "response"
        return _verdict("gateway", node.service, class_, record, 0.9, "GATEWAY_AFTER_BACKEND", "")
    return None


def backend_of(record: GatewayRecord) -> str:
    """Return by what name a record knows its backend, "backend" if by none."""
    return record.backend_host or record.backend_id or "backend"


def handled_errors(record: GatewayRecord) -> list[Mapping[str, str]]:
    """Return the errors that a gateway dealt with by itself, in their order."""
    text = record.attributes.get(HANDLED_ERRORS, "")
    errors = json.loads(text) if text else []
    return [error for error in errors if isinstance(error, dict)]


def describe_handled(error: Mapping[str, str]) -> str:
    """Return a handled error in a few words: source, reason, message and section."""
    text = ": ".join(error[name] for name in ("source", "reason", "message") if error.get(name, ""))
    return f"{text} (in {error['section']})" if error.get("section") else text


def class_of_error(error: Mapping[str, str]) -> str:
    """Return the class of an error by its words alone, "policy" for what they do not tell."""
    said = f"{error.get('reason', '')} {error.get('message', '')}"
    for pattern, class_ in ((_TIMEOUT, "timeout"), (_LIMITED, "rate_limit")):
        if pattern.search(said):
            return class_
    if class_ := class_of_way(said):
        return class_
    return "authorization" if _DENIED.search(said) else "policy"


def said_by_record(node: Node) -> tuple[str, ...]:
    """Return what a gateway's record says about the failure: its reason, then its message."""
    if node.record is None:
        return ()
    record = node.record.record
    words = (record.error_reason, record.error_message, record.attributes.get(GRPC_MESSAGE, ""))
    told = ": ".join(dict.fromkeys(word for word in words if word))
    return (told,) if told else ()


def class_of_status(status: int | None, otherwise: str) -> str:
    """Return what a gateway's status stands for when it answered by itself."""
    return _CLASS_OF_STATUS.get(status or 0, otherwise)


def _judge_flag(node: Node, record: GatewayRecord) -> Verdict | None:
    """Judge an Envoy that answered by itself by the flag that it logged, as its span would be."""
    if _was_reached(node, record) or (record.status is not None and record.status < _FAILED):
        return None
    flag = primary_flag(record.attributes.get("envoy.response_flags", "").split(","))
    if flag is None or flag.fault == "retries_exhausted":
        return None
    if flag.flag == "RLSE":
        return _verdict("dependency", _LIMIT_SERVICE, "unavailable", record, 0.9, "HELPER_DOWN", "")
    side, class_ = flag.side_of(record.status), FAULT_WORDS.get(flag.fault, flag.fault)
    if side == "upstream":
        return _verdict(
            "network", backend_of(record), class_, record, 0.9, "BACKEND_UNREACHABLE", ""
        )
    if side == "proxy":
        return _verdict("gateway", node.service, class_, record, 0.9, "GATEWAY_FLAG", "gateway")
    return None


def _is_helper_down(record: GatewayRecord) -> bool:
    details = record.attributes.get("envoy.response_code_details", "")
    flags = record.attributes.get("envoy.response_flags", "").split(",")
    is_denied = "UAEX" in flags or details.startswith("ext_authz")
    return is_denied and is_helper_down(details, record.status)


def class_of_way(said: str) -> str:
    """Return how the way to a backend failed by its caller's words, "" if they say nothing."""
    if _UNHEALTHY.search(said):
        return "unhealthy"
    if _RESET.search(said):
        return "reset"
    return "unreachable" if _UNREACHABLE.search(said) else ""


def _was_refused(node: Node, record: GatewayRecord) -> bool:
    """It answered by itself: it called nobody, or names a reason, and the caller is at fault."""
    if record.backend_status is not None or node.children:
        return False
    if record.error_section.lower() == "inbound":
        return True
    if record.status is None or not 400 <= record.status < 500 or record.status == 408:
        return False
    return called_nobody(record) or bool(record.error_reason)


def _was_reached(node: Node, record: GatewayRecord) -> bool:
    return bool(node.children) or record.backend_status is not None


def _failed_after_backend(record: GatewayRecord) -> bool:
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
    details = record.attributes.get("envoy.response_code_details", "")
    details = "" if details == VIA_UPSTREAM else details
    said = [record.error_reason or details, record.error_message]
    if record.error_section:
        said.append(f"in {record.error_section}")
    reason = ": ".join(part for part in said[:2] if part) + (
        f" ({said[2]})" if len(said) > 2 else ""
    )
    return Verdict(
        layer=layer,
        component=component,
        class_=class_,
        reason=reason.strip() or (f"status {record.status}" if record.status else "no status"),
        confidence=confidence,
        rule=rule,
        who_closed=who_closed,
    )
