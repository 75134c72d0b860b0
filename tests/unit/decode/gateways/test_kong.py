"""What Kong's plugins log under names that changed with its versions."""

import json
from typing import Any

import pytest

from collector.decode.gateways import get_adapter
from collector.errors import Undecodable

ROW: dict[str, Any] = {
    "started_at": 1_772_600_767_089,
    "latencies": {"request": 125, "kong": 5, "proxy": 110},
    "request": {"id": "3c4d5e6f70819203a4b5c6d7e8f90a1b", "method": "POST", "uri": "/chat"},
    "response": {"status": 200},
}
META = {"request_model": "small", "response_model": "small-7", "provider_name": "own"}


@pytest.mark.parametrize(
    "ai",
    [
        {"ai-proxy": {"usage": {"prompt_tokens": 28, "completion_tokens": 20}, "meta": META}},
        {"ai-proxy": {"usage": {"prompt_token": 28, "completion_token": 20}, "meta": META}},
        {"proxy": {"usage": {"prompt_tokens": 28, "completion_tokens": 20}, "meta": META}},
        {
            "ai-proxy-advanced": [
                {"usage": {"prompt_token": 28, "completion_token": 20}, "meta": META}
            ]
        },
        {"usage": {"input_tokens": 28, "output_tokens": 20}, "meta": META},
        {
            "ai-guard": None,
            "x": 7,
            "ai-proxy": {"usage": {"prompt_token": "28", "completion_token": "20"}, "meta": META},
        },
    ],
)
def test_tokens_are_found_under_the_names_of_every_version(ai: dict[str, Any]) -> None:
    """Plural, singular, one object, a list, or no plugin's name around it."""
    (record,) = get_adapter("kong").decode(json.dumps({**ROW, "ai": ai}).encode()).records
    attributes = record.attributes
    assert attributes["gen_ai.usage.input_tokens"] == "28"
    assert attributes["gen_ai.usage.output_tokens"] == "20"
    assert attributes["gen_ai.request.model"] == "small"


@pytest.mark.parametrize("written", ["14", 14, ["14"]])
def test_a_grpc_status_counts_however_a_plugin_wrote_the_header(written: object) -> None:
    """Lua's own number, or a header that came more than once."""
    row = {
        "started_at": 1_767_225_600_000,
        "latencies": {"request": 30},
        "request": {"id": "9" * 32, "method": "POST", "uri": "/a", "url": "http://a.example/a"},
        "response": {"status": 200, "headers": {"grpc-status": written}},
    }
    [record] = get_adapter("kong").decode(json.dumps(row).encode()).records
    assert (record.kind, record.is_error) == ("grpc", True)


@pytest.mark.parametrize(
    ("kong_ms", "first_try_ms", "request_ms", "expected_ms"),
    [
        # `latencies.kong` ends where proxying began, or holds the waiting: nobody answered
        (4, 4, 7004, (4, 7000, 0)),
        (7004, 4, 7004, (4, 7000, 0)),
        (3, 5, 7004, (3, 6999, 2)),
        (9, 5, 7004, (5, 6999, 0)),
        (4, 9000, 7004, (4, 0, 7000)),
        (4, -3, 7004, (0, 7004, 0)),
    ],
)
def test_the_time_of_a_try_that_nobody_answered_is_the_backends(
    kong_ms: int, first_try_ms: int, request_ms: int, expected_ms: tuple[int, int, int]
) -> None:
    """From the first try to the end Kong waited, and the parts add up to the whole."""
    start_ms = 1_770_114_030_250
    row = {
        "request": {"id": "r1", "method": "GET", "url": "http://bloom.example/"},
        "response": {"status": 499},
        "latencies": {"kong": kong_ms, "proxy": -1, "request": request_ms},
        "started_at": start_ms,
        "tries": [{"ip": "10.6.2.1", "port": 80, "balancer_start": start_ms + first_try_ms}],
    }
    (record,) = get_adapter("kong").decode(json.dumps(row).encode()).records
    parts = (record.gateway_ns, record.backend_ns, record.client_ns)
    assert parts == tuple(each * 1_000_000 for each in expected_ms)


def test_a_line_of_another_nginx_is_refused_by_name() -> None:
    """Only what Kong's own format appends may stand behind the combined one."""
    line = (
        '198.51.100.8 - - [03/Feb/2026:10:20:30 +0000] "GET / HTTP/1.1" 200 5 "-" "bloom/3" '
        "40 0.020 [bloom-api-80] [] 10.6.0.2:80 5 0.019 200 ee5d4c3b2a190817263544f5e6d7c8b9"
    )
    with pytest.raises(Undecodable) as caught:
        get_adapter("kong").decode(line.encode())
    assert "the adapter ingress-nginx reads this" in caught.value.hint


def test_a_line_without_an_id_beside_entries_is_no_request_more() -> None:
    """Before Kong 3.5 its nginx wrote no id: the entry of the same body tells of that request."""
    line = (
        '198.51.100.8 - - [04/Mar/2026:05:06:07 +0000] "POST /chat HTTP/1.1" 200 51 "-" "bloom/3"'
    )
    decode = get_adapter("kong").decode
    assert len(decode(line.encode()).records) == 1
    both = decode(f"{line}\n{json.dumps(ROW)}\n".encode())
    assert [record.source != "nginx-log" for record in both.records] == [True]


def test_a_try_without_its_start_leaves_all_times_unknown() -> None:
    """Kong waited for somebody, and since when is not told: no part is claimed."""
    row = ROW | {
        "latencies": {"request": 125, "kong": 125, "proxy": -1},
        "tries": [{"ip": "10.6.2.1"}],
    }
    (record,) = get_adapter("kong").decode(json.dumps(row).encode()).records
    assert (record.gateway_ns, record.backend_ns, record.client_ns) == (None, None, None)


def test_a_trace_that_a_plugin_was_told_to_add_is_read() -> None:
    """`custom_fields_by_lua` puts what its user wants beside Kong's own fields."""
    trace = "8a1b2c3d4e5f60718293a4b5c6d7e8f9"
    for field, value in (("traceparent", f"00-{trace}-1122334455667788-01"), ("traceid", trace)):
        (record,) = get_adapter("kong").decode(json.dumps({**ROW, field: value}).encode()).records
        assert (record.trace_id, record.trace_id_source) == (trace, field)
