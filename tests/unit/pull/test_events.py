"""Which adapter reads an event of a hub that several resources write to."""

import json
from typing import Any

import pytest

from collector.errors import Undecodable
from collector.pull.events import decode_event

TIME = "2031-03-05T08:16:00.5Z"


def _apim(**changes: Any) -> dict[str, Any]:
    return {"time": TIME, "category": "GatewayLogs", "correlationId": "apim-1"} | changes


def _app_request() -> dict[str, Any]:
    properties = {"Service Type": "API Management", "Request Id": "apim-2"}
    return {"Type": "AppRequests", "time": TIME, "Id": "ab" * 8, "Properties": properties}


def _application_gateway() -> dict[str, Any]:
    return {
        "category": "ApplicationGatewayAccessLog",
        "timeStamp": TIME,
        "properties": {"httpMethod": "GET", "httpStatus": 200, "timeTaken": 0.012},
    }


def _ids(*entries: Any) -> list[tuple[str, str]]:
    decoded = decode_event(json.dumps({"records": list(entries)}).encode())
    return [(record.gateway, record.source) for record in decoded.records]


def test_records_of_one_kind_stay_in_order() -> None:
    """An envelope of API Management's records is read as it is."""
    decoded = decode_event(
        json.dumps({"records": [_apim(), _apim(correlationId="apim-3")]}).encode()
    )
    assert [record.record_id for record in decoded.records] == ["apim-1", "apim-3"]


def _front_door(category: str) -> dict[str, Any]:
    properties = {"trackingReference": "fd-1", "httpStatusCode": "200", "timeTaken": "0.012"}
    return {"category": category, "time": TIME, "properties": properties}


def test_each_record_goes_to_its_adapter() -> None:
    """All of Azure's gateways, and Application Insights, may share an event."""
    edges = [_front_door("FrontDoorAccessLog"), _front_door("FrontDoorHealthProbeLog")]
    records = [_apim(), _app_request(), _application_gateway(), *edges]
    gateways = [gateway for gateway, _ in _ids(*records)]
    assert set(gateways) == {"azure-apim", "azure-application-gateway", "azure-front-door"}
    assert gateways.count("azure-front-door") == 1
    assert ("azure-apim", "app-requests") in _ids(_apim(), _app_request())


def test_logs_of_other_resources_are_passed_over() -> None:
    """Audit logs, metrics and traces of other applications are neither taken nor rejected."""
    others = [
        {"category": "AuditLogs", "time": TIME},
        {"metricName": "Requests", "time": TIME, "count": 1},
        {"Type": "AppTraces", "time": TIME, "Message": "hello"},
    ]
    decoded = decode_event(json.dumps({"records": others}).encode())
    assert (list(decoded.records), list(decoded.rejected)) == ([], [])


def test_policy_event_needs_no_envelope() -> None:
    """What a log-to-eventhub policy wrote is told apart by the missing `records`."""
    event = {"v": 1, "requestId": "apim-4", "startedAt": TIME, "elapsedMs": 5.5}
    (record,) = decode_event(json.dumps(event).encode()).records
    assert (record.record_id, record.source) == ("apim-4", "policy-event")


def test_bad_records_are_rejected_and_the_others_taken() -> None:
    """One bad record costs itself, whichever adapter it was for."""
    bad = _app_request() | {"ItemCount": -4}
    decoded = decode_event(json.dumps({"records": [_apim(), bad, 7]}).encode())
    assert len(decoded.records) == 1
    assert len(decoded.rejected) == 2


@pytest.mark.parametrize("body", [b"request:1\nGET / HTTP/1.1", b"\xff\xfe", b"  "])
def test_event_that_is_no_json_can_not_be_decoded(body: bytes) -> None:
    """Such an event is for the dead letter."""
    with pytest.raises(Undecodable):
        decode_event(body)
