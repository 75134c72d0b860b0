"""The lab's own judgement: every kind of wrong answer is seen, and a right one passes."""

import copy
from typing import Any

import pytest

from tests.lab.kinds import SCENARIOS
from tests.lab.report import README
from tests.lab.scenario import Scenario, Truth
from tests.lab.score import Sent, judge

_SENT = Sent(
    Scenario(
        "slow-basket",
        "the basket is slow",
        Truth(
            "service basket",
            phase="app",
            injected_ms=180,
            findings=frozenset({"CLOCK"}),
            reason="basket",
            acts=frozenset({"retry"}),
        ),
    ),
    marker="5ea1",
    id="c0rre1a7ed",
    status=200,
    duration_ms=190,
)
_RIGHT: dict[str, Any] = {
    "duration_ms": 190.0,
    "status": 200,
    "expected": [],
    "gateway_records": [{"gateway": "azure-apim", "record_id": "c0rre1a7ed"}],
    "phases": [
        {"name": "gateway", "duration_ms": 8.0},
        {"name": "app", "duration_ms": 182.0},
    ],
    "hops": [
        {"role": "gateway", "service": "apim", "critical_ms": 8.0},
        {"role": "service", "service": "basket.shop", "critical_ms": 182.0},
    ],
    "spans": [
        {
            "span_id": "5pan",
            "role": "edge",
            "on_critical_path": True,
            "attributes": {"http.url": "http://ingress/slow-basket/5ea1"},
        }
    ],
    "critical_path": [{"span_id": "5pan", "from_ms": 0.0, "to_ms": 190.0}],
    "acts": [{"feature": "retry"}, {"feature": "traffic_split"}],
    "links": [
        {"from": "azure-apim/c0rre1a7ed", "to": "7race/5pan", "tier": 0, "confidence": 1.0},
    ],
    "verdict": {
        "layer": "none",
        "class": "",
        "component": "",
        "outcome": "ok",
        "reason": "the basket is slow",
        "hop": -1,
        "provisional": False,
    },
    "answered_at_gateway": False,
    "findings": [{"rule": "CLOCK"}],
}


def test_right_answer_passes() -> None:
    """Nothing is said against an answer that agrees with the truth."""
    assert judge(_SENT, _RIGHT).said == ()


def test_no_answer_is_wrong_in_every_part() -> None:
    """A request that Hopline does not know counts against each figure."""
    score = judge(_SENT, None)
    parts = (score.hop, score.layer, score.class_, score.findings, score.phases, score.whole)
    assert parts == (False,) * 6


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("hops", 0, "critical_ms"), 200.0, "hop 'gateway apim', not 'service basket'"),
        (("verdict", "layer"), "app", "layer 'app', not 'none'"),
        (("verdict", "class"), "timeout", "class 'timeout', not ''"),
        (("findings", 0, "rule"), "ORPHAN", "finding CLOCK is missing"),
        (("phases", 1, "name"), "network", "app 0.0 ms, 180 ms were injected"),
        (("phases", 0, "duration_ms"), 9.0, "phases sum to 191000000 ns of 190000000 ns"),
        (("critical_path", 0, "to_ms"), 189.0, "the critical path ends at 189000000 ns of"),
        (("critical_path", 0, "from_ms"), 1.0, "the critical path jumps from 0 ns to 1.0 ms"),
        (("links", 0, "tier"), 1, "join tier 1, not 0"),
        (("links", 0, "to"), "", "join tier None, not 0"),
        (("gateway_records",), [], "gateway records: 0, not 1"),
        (("spans", 0, "role"), "gateway", "no spans of the mesh"),
        (
            ("spans", 0, "attributes", "http.url"),
            "http://ingress/slow-basket/07he4",
            "joined with another request's trace",
        ),
        (("status",), 500, "status 500, not 200"),
        (("verdict", "reason"), "no idea", "reason 'no idea' without 'basket'"),
        (("acts",), [], "acts set(), not {'retry'}"),
        (("hops", 1, "critical_ms"), 300.0, "hops hold the answer up for 308000000 ns of"),
        (("spans", 0, "on_critical_path"), False, "spans and path disagree about who is on it"),
        (("verdict", "provisional"), True, "provisional: True, not False"),
        (("answered_at_gateway",), True, "answered at the gateway: True, not False"),
    ],
)
def test_wrong_part_is_seen(path: tuple[Any, ...], value: object, said: str) -> None:
    """Each part of an answer that is not true is said to be wrong."""
    answer = copy.deepcopy(_RIGHT)
    place: Any = answer
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert any(text.startswith(said) for text in judge(_SENT, answer).said)


def test_the_rules_name_kinds_that_run() -> None:
    """The table of rules in the lab's README speaks of kinds that there are."""
    names = {scenario.name for scenario in SCENARIOS}
    rules = README.read_text().partition("<!-- begin")[0]
    rows = [row.split("|")[2] for row in rules.splitlines() if row.startswith("| ")][1:]
    told = {kind for row in rows for kind in row.partition(";")[0].replace(" ", "").split(",")}
    assert len(rows) >= 15
    assert told <= names
