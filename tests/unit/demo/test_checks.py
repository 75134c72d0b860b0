"""What the demo demands of a timeline, and that it notices when it is not so."""

from typing import Any

import pytest

from collector.demo import traffic
from collector.demo.checks import PICTURES, check
from collector.demo.traffic import Kind, Sent

TRACE_ID = "9d1e2f3a4b5c6d7e8f90a1b2c3d4e5f6"


def _hop(
    role: str, service: str, start_ms: float, duration_ms: float, **more: Any
) -> dict[str, Any]:
    return {
        "role": role,
        "service": service,
        "start_offset_ms": start_ms,
        "duration_ms": duration_ms,
        "attempt": 1,
        **more,
    }


def timeline(*hops: dict[str, Any], status: int = 200, **more: Any) -> dict[str, Any]:
    gateway = _hop("gateway", "azure-apim", 0, 10)
    return {
        "status": status,
        "trace_id": TRACE_ID,
        "duration_ms": 10.0,
        "gateway_records": [{"cache": "none"}],
        "phases": [{"duration_ms": 3.1}, {"duration_ms": 6.9}],
        "critical_path": [
            {"span_id": "a", "from_ms": 0.0, "to_ms": 4.0},
            {"span_id": "b", "from_ms": 4.0, "to_ms": 10.0},
        ],
        "spans": [{"span_id": "a", "role": "app"}, {"span_id": "b", "role": "app"}],
        "links": [{"to": TRACE_ID}] if hops else [],
        "hops": [gateway, *hops],
        "verdict": {"layer": "none", "class": "none"},
        **more,
    }


def _sent(kind: Kind) -> Sent:
    return Sent(kind, "id", TRACE_ID if kind.is_traced else "", kind.status, 10.0)


BOTH = (_hop("service", "catalog", 1, 4), _hop("service", "inventory.shop", 2, 4))
TRIES = (
    _hop("service", "payments", 1, 2, attempt=1),
    _hop("service", "payments", 4, 2, attempt=2),
    _hop("service", "loyalty", 6, 1),
)
SLOW: dict[str, Any] = {
    "duration_ms": 900.0,
    "phases": [{"duration_ms": 900.0}],
    "critical_path": [{"span_id": "b", "from_ms": 0.0, "to_ms": 900.0}],
    "spans": [{"span_id": "b", "role": "dependency"}],
}
RIGHT: tuple[tuple[Kind, dict[str, Any]], ...] = (
    (traffic.BROWSE, timeline(*BOTH)),
    (traffic.ORDER, timeline(*TRIES)),
    (traffic.REPORT, timeline(BOTH[0], **SLOW)),
    (
        traffic.REFUND,
        timeline(BOTH[0], status=504, verdict={"layer": "app", "class": "backend_timeout"}),
    ),
    (traffic.NO_KEY, timeline(status=401, verdict={"layer": "client", "class": "auth"})),
    (
        traffic.SEARCH_AGAIN,
        timeline(status=429, verdict={"layer": "gateway", "class": "limit"}),
    ),
    (traffic.OFFERS_AGAIN, timeline(gateway_records=[{"cache": "hit"}])),
    (traffic.OFFERS, timeline(BOTH[0])),
)


@pytest.mark.parametrize(("kind", "document"), RIGHT, ids=lambda value: getattr(value, "name", ""))
def test_right_pictures_pass(kind: Kind, document: dict[str, Any]) -> None:
    """A timeline that shows what its kind of request did has nothing wrong with it."""
    assert check(_sent(kind), document) == []


@pytest.mark.parametrize(
    ("kind", "document", "problem"),
    [
        (traffic.BROWSE, timeline(BOTH[0]), "missing"),
        (traffic.BROWSE, timeline(BOTH[0], _hop("service", "inventory", 6, 1)), "overlap"),
        (traffic.BROWSE, timeline(*BOTH, links=[]), "not joined"),
        (traffic.BROWSE, timeline(*BOTH, trace_id="0" * 32), "the caller sent"),
        (
            traffic.BROWSE,
            timeline(*BOTH, phases=[{"duration_ms": 9.999999}]),
            "phases sum",
        ),
        (traffic.BROWSE, timeline(*BOTH, critical_path=[]), "critical path ends"),
        (traffic.ORDER, timeline(TRIES[0]), "attempts [1]"),
        (traffic.ORDER, timeline(*TRIES[:2]), "B3"),
        (traffic.REPORT, timeline(BOTH[0]), "slow query"),
        (traffic.REFUND, timeline(BOTH[0], status=504), "timeout"),
        (traffic.NO_KEY, timeline(BOTH[0], status=401), "hops behind the gateway"),
        (traffic.NO_KEY, timeline(status=401), "blames"),
        (traffic.OFFERS_AGAIN, timeline(), "cache"),
        (traffic.OFFERS, timeline(BOTH[0], status=500), "status 500"),
    ],
)
def test_wrong_pictures_are_noticed(kind: Kind, document: dict[str, Any], problem: str) -> None:
    """Each thing that can be missing from a timeline is named."""
    assert problem in "; ".join(check(_sent(kind), document))


def test_every_kind_of_traffic_has_its_check() -> None:
    """No kind of request asks for a check that does not exist."""
    assert {kind.picture for kind in (*traffic.FIRST, *traffic.REST)} == set(PICTURES)


def test_unexpected_answers_name_the_request() -> None:
    """A request that was answered otherwise than planned is told with both statuses."""
    sent = Sent(traffic.REFUND, "id", "", 200, 1.0)
    assert traffic.unexpected_answers([sent]) == [
        "a backend timeout: POST /shop/refunds answered 200, not 504"
    ]
