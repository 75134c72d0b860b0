"""Where one reading ends and the next begins: statuses, zeros, and units told by size."""

import json
from typing import Any

import pytest

from collector.decode.gateways import get_adapter
from collector.model import GatewayRecord

MS = 1_000_000
GUID = "0a10bb20-3333-4ccc-8ddd-0123456789ab"


def _read(adapter: str, row: dict[str, Any] | str) -> GatewayRecord:
    body = row if isinstance(row, str) else json.dumps(row)
    (record,) = get_adapter(adapter).decode(body.encode()).records
    return record


@pytest.mark.parametrize(
    ("backend_status", "source"), [(404, "backend"), (400, "backend"), (399, ""), (200, "")]
)
def test_an_answer_of_aws_is_the_backends_when_that_said_no(
    backend_status: int, source: str
) -> None:
    """Every status from 400 on is the integration's own answer."""
    row = {"requestId": "r1", "requestTimeEpoch": 1_770_114_030_250, "status": 404}
    assert (
        _read("aws-api-gateway", row | {"integrationStatus": backend_status}).error_source == source
    )


@pytest.mark.parametrize(("total", "own_ns"), [(30, 0), (31, MS), (29, None)])
def test_aws_has_no_time_of_its_own_when_all_is_the_integrations(
    total: int, own_ns: int | None
) -> None:
    """Nothing left is zero; less than nothing is unknown."""
    row = {"requestId": "r1", "requestTimeEpoch": 1_770_114_030_250, "status": 200}
    row |= {"responseLatency": total, "integrationLatency": 30}
    assert _read("aws-api-gateway", row).gateway_ns == own_ns


def test_envoys_status_of_nobody_is_no_answer_of_the_backend() -> None:
    """Code 0 says that nothing was sent, by whomever."""
    row = {"start_time": "2026-02-03T10:20:30Z", "method": "GET", "path": "/", "response_code": 0}
    record = _read("envoy", row | {"upstream_cluster": "bulbs"})
    assert (record.status, record.backend_status) == (None, None)


@pytest.mark.parametrize(("backend_status", "source"), [(404, "backend"), (200, "gateway")])
def test_an_answer_of_apigee_is_the_targets_when_that_said_no(
    backend_status: int, source: str
) -> None:
    """A refusal of the target is passed on; one beside a good answer is a policy's."""
    row = {"messageid": "m1", "client.received.start.timestamp": 1_770_114_030_250}
    row |= {"response.status.code": 404, "fault.name": "", "target.status.code": backend_status}
    record = _read("apigee", row | {"error.message": "x", "fault.name": "Raised"})
    assert record.error_source == source


@pytest.mark.parametrize("written", [1_770_114_030, 1_770_114_030_000, "1770114030000"])
def test_apigees_moments_are_told_apart_by_their_size(written: object) -> None:
    """Policies that divide by a thousand write seconds."""
    row = {"messageid": "m1", "client.received.start.timestamp": written}
    assert _read("apigee", row).start_ns == 1_770_114_030_000 * MS


@pytest.mark.parametrize(
    ("taken", "duration_ns"), [(2, 2 * MS), (205, 205 * MS), (7.5, 7500 * MS), ("0.004", 4 * MS)]
)
def test_a_time_of_the_application_gateway_is_seconds_when_it_has_decimals(
    taken: object, duration_ns: int
) -> None:
    """Without a mark of either version, whole numbers are the first version's milliseconds."""
    row = {"category": "ApplicationGatewayAccessLog", "time": "2026-02-03T10:20:30Z"}
    properties = {"httpStatus": 200, "timeTaken": taken}
    record = _read("azure-application-gateway", {**row, "properties": properties})
    assert record.duration_ns == duration_ns


@pytest.mark.parametrize(
    ("more", "agent"),
    [
        (' "https://bloom.example/" "bloom/3"', "bloom/3"),
        (' "-" "bloom/3"', "bloom/3"),
        (' "bloom/3"', "bloom/3"),
        ("", None),
    ],
)
def test_what_is_appended_to_nettys_line_is_the_agent_behind_the_referrer(
    more: str, agent: str | None
) -> None:
    """Of two texts the second is the agent."""
    line = '198.51.100.70 - - [03/Feb/2026:10:20:30 +0000] "GET / HTTP/1.1" 200 51 12' + more
    record = _read("spring-cloud-gateway", line)
    assert record.attributes.get("user_agent.original") == agent


def test_a_policys_line_may_write_its_time_as_net_does() -> None:
    """`DateTime.UtcNow` put into a text is the invariant culture's, the month first."""
    line = f"2/3/2026 10:20:30 PM,bloom.azure-api.net,{GUID},198.51.100.9,list-bulbs"
    record = _read("azure-apim", line)
    assert (record.record_id, record.operation) == (GUID, "list-bulbs")
    assert record.start_ns == 1_770_157_230_000 * MS
