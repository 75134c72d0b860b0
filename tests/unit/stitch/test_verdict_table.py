"""Who failed first, a row for each flag of Envoy and each reason of a gateway."""

import pytest

from collector.decode.envoy.response_flags import RESPONSE_FLAGS
from collector.stitch.timeline import Verdict
from tests.unit.stitch.building import LONG_AFTER, TRACE, TraceBuilder, record, stitch

OWN_WORDS = {
    "aborted": "client_abort",
    "denied": "authorization",
    "rate_limited": "rate_limit",
    "injected": "fault_injection",
}
# What only says that something else ended it, or that nothing did.
NO_CAUSE = {"URX", "DI", "RFCF"}
# A caller that left is told by whoever it left; here the caller is the gateway, which says nothing.
LEFT = {"DC", "DR"}


def judge_flag(flag: str, *, at_edge: bool) -> Verdict:
    """Return the verdict on a request that failed with a flag, at the edge or at a sidecar."""
    trace = TraceBuilder()
    code = (RESPONSE_FLAGS[flag].statuses or (503,))[0]
    sent = "c0ffee0000000001"
    edge = trace.edge(20, 60, sent, code=code, flags=flag if at_edge else "-")
    if not at_edge:
        router = "istio-ingressgateway"
        out = trace.sidecar_out(router, "orders", 21, 58, edge, node_kind="router", code=code)
        trace.sidecar_in("orders", 22, 56, out, code=code, flags=flag)
    known = record(
        total=100,
        backend=70,
        status=code,
        backend_status=code,
        trace_id=TRACE,
        outgoing_span_id=sent,
    )
    return stitch([known], trace.spans, now_ns=LONG_AFTER).verdict


@pytest.mark.parametrize("at_edge", [True, False])
@pytest.mark.parametrize("flag", sorted(set(RESPONSE_FLAGS) - NO_CAUSE - LEFT))
def test_each_flag_has_its_layer_and_class(flag: str, at_edge: bool) -> None:
    """The flag names the class; who failed is the proxy itself, its caller or what is behind it."""
    verdict = judge_flag(flag, at_edge=at_edge)
    known = RESPONSE_FLAGS[flag]
    own = "edge" if at_edge else "mesh"
    layer = {"proxy": own, "upstream": "mesh", "client": "client"}[known.side]
    assert (verdict.layer, verdict.class_) == (layer, OWN_WORDS.get(known.fault, known.fault))
    assert verdict.rule == f"ENVOY_{flag}"
    assert flag in verdict.reason


@pytest.mark.parametrize(
    ("reason", "section", "status", "backend_status", "expected"),
    [
        ("ClientConnectionFailure", "transfer-response", 200, 200, "client client_abort abandoned"),
        ("ClientConnectionFailure", "forward-request", 0, None, "client client_abort abandoned"),
        ("BackendConnectionFailure", "backend", 500, None, "network unreachable failed"),
        ("Timeout", "backend", 504, None, "gateway timeout failed"),
        ("SubscriptionKeyNotFound", "inbound", 401, None, "gateway authentication failed"),
        ("SubscriptionKeyInvalid", "inbound", 401, None, "gateway authentication failed"),
        ("TokenExpired", "inbound", 401, None, "gateway authentication failed"),
        ("CallerIpNotAllowed", "inbound", 403, None, "gateway authorization failed"),
        ("QuotaExceeded", "inbound", 403, None, "gateway rate_limit failed"),
        ("RateLimitExceeded", "inbound", 429, None, "gateway rate_limit failed"),
        ("OperationNotFound", "backend", 404, None, "gateway routing failed"),
        ("HeaderNotFound", "inbound", 400, None, "gateway policy failed"),
        ("SchemaValidationFailed", "inbound", 400, None, "gateway policy failed"),
        ("MaxRequestSizeExceeded", "inbound", 413, None, "gateway too_large failed"),
        ("ExpressionValueEvaluationFailure", "inbound", 500, None, "gateway policy failed"),
        ("ExpressionValueEvaluationFailure", "outbound", 500, 200, "gateway policy manufactured"),
        ("ResponseTooLarge", "outbound", 502, 200, "gateway policy manufactured"),
        ("", "", 502, None, "network unreachable failed"),
        ("", "", 500, 500, "app server_error failed"),
        ("", "", 503, 503, "app server_error failed"),
        ("", "", 404, 404, "app client_error failed"),
    ],
)
def test_a_record_alone_is_judged(
    reason: str, section: str, status: int, backend_status: int | None, expected: str
) -> None:
    """Of a request without a single span the gateway's fields still say who failed, and how."""
    known = record(
        total=100,
        status=status,
        backend_status=backend_status,
        is_error=True,
        error_reason=reason,
        error_section=section,
        backend_host="mesh.shop.example",
        **({"backend": 70} if backend_status else {}),
    )
    verdict = stitch([known], [], now_ns=LONG_AFTER).verdict
    assert f"{verdict.layer} {verdict.class_} {verdict.outcome}" == expected
    assert verdict.rule


def test_a_backend_that_answered_with_an_error_is_named_by_its_host() -> None:
    """Without spans nobody knows more than the host, and the verdict says how little that is."""
    known = record(
        total=100, backend=70, status=503, backend_status=503, backend_host="mesh.shop.example"
    )
    verdict = stitch([known], [], now_ns=LONG_AFTER).verdict
    assert (verdict.component, verdict.rule) == ("mesh.shop.example", "BACKEND_STATUS")
    assert verdict.confidence == 0.5
    assert verdict.reason == "status 503 of the backend, of which no span is known"
