"""
What a proxy or a gateway says about an answer it made by itself.

A proxy says it by its response flag, or by the details in its log: `via_upstream` and a missing
flag mean that the answer came from further on. A gateway's record says it by what it left empty.

Source: Envoy response code details (envoy source/common/stream_info/utility.h) and response flags.
"""

from dataclasses import dataclass

from collector.decode.envoy.response_flags import primary_flag
from collector.model import GatewayRecord
from collector.stitch.tree.nodes import Node
from collector.stitch.tree.roles import response_flags

VIA_UPSTREAM = "via_upstream"
_DETAILS = ("access_log.response_code_details", "response_code_details")
FAULT_WORDS = {
    "aborted": "client_abort",
    "denied": "authorization",
    "rate_limited": "rate_limit",
    "injected": "fault_injection",
}
# Beginning of the details: who failed seen from the proxy, and the class of the failure.
_BY_DETAILS = (
    ("rbac_access_denied", "proxy", "authorization"),
    ("jwt_authn_access_denied", "proxy", "authentication"),
    ("ext_authz_denied", "proxy", "authorization"),
    ("local_rate_limited", "proxy", "rate_limit"),
    ("request_rate_limited", "proxy", "rate_limit"),
    ("rate_limit", "proxy", "rate_limit"),
    ("route_not_found", "proxy", "routing"),
    ("no_route", "proxy", "routing"),
    ("cluster_not_found", "proxy", "routing"),
    ("direct_response", "proxy", "direct_response"),
    ("fault_filter_abort", "proxy", "fault_injection"),
    ("request_payload_too_large", "proxy", "too_large"),
    ("admission_control", "proxy", "overload"),
    ("overload", "proxy", "overload"),
    ("upstream_response_timeout", "upstream", "timeout"),
    ("response_timeout", "upstream", "timeout"),
    ("upstream_per_try_timeout", "upstream", "timeout"),
    ("upstream_max_stream_duration_reached", "upstream", "timeout"),
    ("request_overall_timeout", "proxy", "timeout"),
    ("stream_idle_timeout", "proxy", "timeout"),
    ("max_duration_timeout", "proxy", "timeout"),
    ("duration_timeout", "proxy", "timeout"),
    ("no_healthy_upstream", "upstream", "unhealthy"),
    ("downstream_remote_disconnect", "client", "client_abort"),
    ("downstream_local_disconnect", "client", "client_abort"),
)
AUTHORIZATION_SERVICE = "external authorization service"
_HELPER_DOWN = "ext_authz_error"
_BY_RESET = (
    ("overflow", "overload"),
    ("connection_failure", "unreachable"),
    ("connection_timeout", "unreachable"),
    ("connection_termination", "reset"),
    ("remote_reset", "reset"),
    ("protocol_error", "protocol"),
)


@dataclass(frozen=True, slots=True)
class OwnReply:
    """
    Why a proxy did not pass on an answer.

    `side` is who failed, seen from it: `client`, `proxy` or `upstream`; `rule` names what said so.
    `helper` is whom the proxy asked before it went on, where that one failed: its own authorization
    service.
    """

    side: str
    class_: str
    reason: str
    rule: str
    helper: str = ""


def own_reply(node: Node) -> OwnReply | None:
    """Return why *node* answered by itself, or `None` when it passed on what it was given."""
    if not node.is_proxy:
        return None
    attributes = node.attributes
    details = reply_details(node) if node.is_logged or "response_code_details" in attributes else ""
    if not details and attributes.get("response_flags", "-") == "-":
        return None
    flag = primary_flag(response_flags(attributes))
    if flag is not None and flag.side != "none" and flag.fault != "retries_exhausted":
        side = flag.side_of(node.status_code)
        said = f"{flag.flag} ({flag.name}): {flag.meaning}"
        if details and details != VIA_UPSTREAM:
            said += f"; {details}"
        class_ = FAULT_WORDS.get(flag.fault, flag.fault)
        if flag.flag == "UAEX" and is_helper_down(details, node.status_code):
            return OwnReply("proxy", "unavailable", said, "ENVOY_UAEX", AUTHORIZATION_SERVICE)
        return OwnReply(side, class_, said, f"ENVOY_{flag.flag}")
    return _from_details(details) if details else None


def is_helper_down(details: str, status: int | None) -> bool:
    """
    Tell whether Envoy denied a request because its authorization service did not answer.

    The flag UAEX is the same for both. Without details a status of 500 and more tells: no service
    denies by it.
    """
    if details:
        return details.lower().startswith(_HELPER_DOWN)
    return status is not None and status >= 500


def called_nobody(record: GatewayRecord) -> bool:
    """
    Tell whether a gateway's record shows that it called no backend.

    A record that has no word of a backend shows nothing: many formats leave it out.
    """
    if record.backend_status is not None or record.backend_ns or record.attempts:
        return False
    if record.cache == "hit" or record.attempts == 0 or record.backend_ns == 0:
        return True
    if record.error_section.lower() == "inbound":
        return True
    is_refusal = record.status is not None and 400 <= record.status < 500
    return is_refusal and record.error_source == "gateway"


def reply_details(node: Node) -> str:
    """Return Envoy's response code details, "" when only a span is known."""
    return next((node.attributes[key] for key in _DETAILS if node.attributes.get(key)), "")


def _from_details(details: str) -> OwnReply | None:
    lower = details.lower()
    if lower.startswith("upstream_reset"):
        class_ = next((word for part, word in _BY_RESET if part in lower), "reset")
        return OwnReply("upstream", class_, details, "ENVOY_DETAILS")
    if lower.startswith(_HELPER_DOWN):
        return OwnReply("proxy", "unavailable", details, "ENVOY_DETAILS", AUTHORIZATION_SERVICE)
    for beginning, side, class_ in _BY_DETAILS:
        if lower.startswith(beginning):
            return OwnReply(side, class_, details, "ENVOY_DETAILS")
    return None
