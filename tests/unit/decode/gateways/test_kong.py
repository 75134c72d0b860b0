"""What Kong's plugins log under names that changed with its versions."""

import json
from typing import Any

import pytest

from collector.decode.gateways import get_adapter

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
