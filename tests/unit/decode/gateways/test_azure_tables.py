"""Rows of Log Analytics with the types that the query client gives them."""

import tracemalloc
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode.azure.rows import (
    canonical_name,
    flatten,
    raw_text,
    read_columns,
    read_duration_ns,
    rename,
)
from collector.decode.fields import FieldError, read_ns_from_ms, read_text
from collector.decode.gateways import get_adapter

MOMENT = datetime(2026, 1, 1, 0, 6, 23, 456000, UTC)
END_NS = 1_767_225_983_456_000_000
GATEWAY_ROW = {
    "TimeGenerated": MOMENT,
    "TransactionId": "7d6c7d8e9fa0b1c2d3e4f5061728394c",
    "TimeTaken": 0.051,
    "ServerResponseLatency": 0.044,
    "HttpStatus": 200,
    "ErrorInfo": "ERRORINFO_NO_ERROR",
    "SslEnabled": None,
}
CONTAINERS_ROW = {
    "TimeGenerated": MOMENT,
    "TrackingId": "e1d2e3f4-a5b6-4c7d-8e9f-0a1b2c3d4e61",
    "TimeTaken": 51,
    "BackendTimeTaken": 44,
    "HttpStatusCode": 200,
    "BackendHost": None,
}
COLUMNS = ("A", "B_s", "Url", "RequestHeaders", "Cache_Time")
VALUES = (
    st.sampled_from(("", "-", "None", "null", "NULL", "x", "ä", '{"a":1}', "{", "[1]"))
    | st.none()
    | st.booleans()
    | st.integers(0, 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
)
NESTED = st.lists(VALUES, max_size=2) | st.dictionaries(st.sampled_from(COLUMNS), VALUES)
ROWS = st.dictionaries(st.sampled_from((*COLUMNS, "Properties")), VALUES | NESTED)


def _outcome(read: Any) -> Any:
    try:
        return read()
    except FieldError as exc:
        return str(exc)


@given(ROWS)
def test_columns_read_at_once_are_those_read_one_by_one(row: dict[str, Any]) -> None:
    """Reading many columns is a `read_text` for each, with the same first error."""
    flat = rename(row)
    names = [canonical_name(name) for name in (*COLUMNS, "absent")]
    expected = _outcome(lambda: [read_text(flat, name) for name in names])
    assert _outcome(lambda: list(read_columns(flat, names))) == expected


@given(VALUES | st.floats(0, 1e11, exclude_min=True))
def test_usual_durations_are_read_as_any_other(value: Any) -> None:
    """Whole and fractional milliseconds have a short way to the same nanoseconds."""
    flat = rename({"A": value})
    expected = _outcome(lambda: read_ns_from_ms(flat, "a"))
    assert _outcome(lambda: read_duration_ns(flat, "a")) == expected


@given(ROWS)
def test_raw_text_is_the_row_without_blanks(row: dict[str, Any]) -> None:
    """Zeros and False stay, nulls and empty texts go, in the order of the columns."""
    shown = {name: value for name, value in row.items() if value is not None and value != ""}
    found = orjson.loads(raw_text(rename(row)))
    assert list(found) == list(shown)
    for name in {"A", "B_s", "Url", "Cache_Time"} & set(shown):
        assert found[name] == shown[name]


def test_json_text_of_headers_is_shown_as_an_object() -> None:
    """Names of headers inside JSON text must be in sight of what masks secrets."""
    flat = flatten({"RequestHeaders": '{"Authorization":"x"}', "A": 0, "Properties": "{}"})
    assert raw_text(flat) == '{"RequestHeaders":{"Authorization":"x"},"A":0,"Properties":{}}'


@pytest.mark.parametrize(
    ("adapter", "row"),
    [("azure-application-gateway", GATEWAY_ROW), ("azure-agc", CONTAINERS_ROW)],
    ids=["application-gateway", "containers"],
)
def test_typed_rows_are_read_and_bad_ones_listed(adapter: str, row: dict[str, Any]) -> None:
    """A datetime is a time, null is missing, and the end stamp becomes the start."""
    decoded = get_adapter(adapter).decode_rows([row, {**row, "TimeTaken": "long"}])
    (record,) = decoded.records
    assert record.start_ns == END_NS - 51_000_000
    assert (record.duration_ns, record.backend_ns) == (51_000_000, 44_000_000)
    assert "SECOND_GRANULARITY" not in record.quality
    assert [(error.index, error.field) for error in decoded.rejected] == [(1, "TimeTaken")]


def test_hostile_column_names_are_not_remembered() -> None:
    """Senders choose column names: neither long ones nor many of them stay in memory."""
    many = {f"c{n}": 1 for n in range(600)}
    rename(many)
    tracemalloc.start()
    for n in range(300):
        assert canonical_name(f"Name_{n:0100000d}_s").startswith("name0")
        rename({f"{n:0100000d}": 1})
        rename({f"{n}_{name}": 1 for name in many})
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 4_000_000


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        ("ERRORINFO_UPSTREAM_TIMED_OUT", None),
        ("ERRORINFO_UPSTREAM_CLOSED_CONNECTION", None),
        ("ERRORINFO_UPSTREAM_NO_LIVE", 0),
        ("ERRORINFO_INVALID_METHOD", 0),
    ],
)
def test_an_application_gateway_that_names_no_server_may_have_called_one(
    error: str, attempts: int | None
) -> None:
    """The error tells of a call, though neither server nor its time is in the row."""
    row = {**GATEWAY_ROW, "HttpStatus": 502, "ErrorInfo": error, "ServerResponseLatency": None}
    row["TimeGenerated"] = MOMENT.isoformat()
    decoded = get_adapter("azure-application-gateway").decode(orjson.dumps([row]))
    (record,) = decoded.records
    assert (record.error_reason, record.attempts) == (error, attempts)


@pytest.mark.parametrize(
    ("adapter", "row"),
    [
        ("azure-application-gateway", {**GATEWAY_ROW, "clientIP_s": "", "clientIp_s": "192.0.2.7"}),
        ("azure-agc", {**CONTAINERS_ROW, "clientIp_s": "192.0.2.7", "clientIP_s": None}),
    ],
    ids=["application-gateway", "containers"],
)
def test_a_row_with_the_columns_of_all_logs_is_read_by_its_own(
    adapter: str, row: dict[str, Any]
) -> None:
    """AzureDiagnostics gives an access log's row the firewall's columns too, empty."""
    others = {"ruleId_s": "", "ruleName_s": None, "action_s": "", "Message": None}
    (record,) = get_adapter(adapter).decode_rows([{**row, **others}]).records
    assert (record.source, record.client_address) == ("", "192.0.2.7")
    assert record.duration_ns == 51_000_000


@pytest.mark.parametrize(
    ("adapter", "category", "id_column"),
    [
        ("azure-application-gateway", "ApplicationGatewayFirewallLog", "transactionId"),
        ("azure-agc", "TrafficControllerFirewallLog", "trackingId"),
        ("azure-front-door", "FrontDoorWebApplicationFirewallLog", "trackingReference"),
    ],
)
@pytest.mark.parametrize("is_text", [False, True], ids=["object", "text"])
def test_what_a_firewall_s_rule_matched_is_not_kept(
    adapter: str, category: str, id_column: str, is_text: bool
) -> None:
    """A matched cookie is a session: which one it was is told, what was in it is not."""
    details: Any = {
        "message": "Warning. Pattern match",
        "data": "Matched Data: b15cuit found within REQUEST_COOKIES:session",
        "matches": [{"matchVariableName": "CookieValue:session", "matchVariableValue": "b15cuit"}],
    }
    row = {
        "category": category,
        "time": MOMENT.isoformat(),
        "properties": {
            id_column: "9f2b6a1c4d8e47309f2b6a1c4d8e4730",
            "ruleId": "942450",
            "action": "Blocked",
            "details": orjson.dumps(details).decode() if is_text else details,
        },
        "details_data_s": "b15cuit",
    }
    (record,) = get_adapter(adapter).decode(orjson.dumps(row)).records
    assert (record.source, record.attempts) == ("waf-log", 0)
    assert record.error_reason == "WAF rule 942450"
    assert record.error_message == "Warning. Pattern match"
    assert "b15cuit" not in repr(record)
    assert is_text or "CookieValue:session" in record.raw
