"""What real Envoys and OpenTelemetry SDKs sent comes back as the hops that were run."""

from textwrap import dedent

import pytest

from tests.unit.stitch.building import MS, stitch
from tests.unit.stitch.captures import FOLDER, draw, load_capture
from tests.unit.stitch.test_bad_input import check_invariants

_NOW = 4_000_000_000_000_000_000
_TWO_SERVICES = """
    edge istio-ingressgateway
      service shop-front
        service basket
    """
_TWO_TRIES = """
    edge istio-ingressgateway
      service shop-front
        service basket try 1 of 2
        service basket try 2 of 2
    """
_ONE_SERVICE = """
    edge istio-ingressgateway
      service shop-front
    """
_DIFFERENT = {
    "edge-and-sidecars": """
        edge istio-ingressgateway
          service shop-front
            service basket
              dependency postgresql/shop inferred
        """,
    "retry-that-succeeds": _TWO_TRIES,
    "retry-with-attempt-spans": _TWO_TRIES,
    "hedged": _TWO_TRIES,
    "parallel-calls": """
        edge istio-ingressgateway
          service shop-front
            service basket
            service prices
        """,
    "mirrored": """
        edge istio-ingressgateway
          service shop-front
            service basket
            service basket-next mirrored
        """,
    "circuit-open": """
        edge istio-ingressgateway
          service shop-front
            service basket
            service basket inferred
            service basket inferred
        """,
    "client-gone": _ONE_SERVICE,
    "context-dropped": _ONE_SERVICE,
}
_VERDICTS = {
    "abort-injected": ("mesh", "fault_injection"),
    "upstream-timeout": ("mesh", "timeout"),
    "circuit-open": ("mesh", "overload"),
    "application-down": ("mesh", "unreachable"),
    "client-gone": ("client", "client_abort"),
}
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_a_topology_comes_back_as_its_hops(name: str) -> None:
    """Each visit to a service is one hop under its caller, with tries and copies marked."""
    capture = load_capture(name)
    timeline = stitch([], capture.spans, capture.logs, now_ns=_NOW, subject=capture.trace_id)
    check_invariants(timeline)
    assert draw(timeline) == dedent(_DIFFERENT.get(name, _TWO_SERVICES)).strip()


@pytest.mark.parametrize("name", sorted(_VERDICTS))
def test_what_was_broken_on_purpose_is_named(name: str) -> None:
    """The verdict names the layer and the kind of failure that the topology injects."""
    capture = load_capture(name)
    timeline = stitch([], capture.spans, capture.logs, now_ns=_NOW, subject=capture.trace_id)
    assert (timeline.verdict.layer, timeline.verdict.class_) == _VERDICTS[name]


def test_an_injected_delay_is_time_of_the_mesh() -> None:
    """120 ms held back by the caller's sidecar are its own time, not the callee's."""
    capture = load_capture("delay-injected")
    timeline = stitch([], capture.spans, capture.logs, now_ns=_NOW)
    phases = {phase.name: phase.duration_ns for phase in timeline.phases}
    assert phases["mesh_proxy"] > 119 * MS
    slowest = max(timeline.hops, key=lambda hop: hop.proxy_ns)
    assert slowest.service == "basket"


def test_a_copy_of_a_request_is_off_the_critical_path() -> None:
    """Nobody waits for mirrored traffic, however slow it is."""
    capture = load_capture("mirrored")
    timeline = stitch([], capture.spans, capture.logs, now_ns=_NOW)
    mirrored = {i for hop in timeline.hops if hop.is_mirrored for i in hop.span_ids}
    assert mirrored
    assert not mirrored & {section.span_id for section in timeline.critical_path}


def test_access_logs_add_what_spans_do_not_say() -> None:
    """Response code details of the log stand beside the attributes of the proxy's span."""
    capture = load_capture("application-down")
    timeline = stitch([], capture.spans, capture.logs, now_ns=_NOW)
    failed = [s for s in timeline.spans if s.attributes.get("response_flags") == "UF"]
    assert "upstream_reset" in failed[0].attributes["access_log.response_code_details"]


def test_a_timeline_of_access_logs_alone_says_so() -> None:
    """Without a single span the timeline is drawn from access logs, and marked."""
    capture = load_capture("access-logs-only")
    timeline = stitch([], capture.spans, capture.logs, now_ns=_NOW)
    assert not capture.spans
    assert all("access_log" in span.flags for span in timeline.spans)
    assert [finding.rule for finding in timeline.findings] == ["ONLY_ACCESS_LOGS"]
