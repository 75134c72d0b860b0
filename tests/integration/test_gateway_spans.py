"""Gateways that send spans: named by setting, found by search, one request beside their logs."""

from pathlib import Path

import pytest

from collector.app import run
from collector.config import load_settings
from collector.decode.gateway_spans import parse_service_rules
from collector.errors import ConfigError
from collector.model import Span
from tests.stories import MINUTE, MS, NOW, Story, asking, make_spans, number_id

T = NOW - 20 * MINUTE


def _entry(number: int, service: str, **given: object) -> Span:
    values: dict[str, object] = {
        "trace_id": number_id(number),
        "span_id": number_id(number + 3_000, 16),
        "parent_span_id": "",
        "name": "GET",
        "service": service,
        "start_ns": T,
        "end_ns": T + 110 * MS,
        "kind": "Server",
        "resource": {"service.name": service},
    }
    return Span(**{**values, **given})  # type: ignore[arg-type]  # checked by the tests


def _named_story(number: int) -> Story:
    """Tell a request at a gateway that nothing but its service's name gives away."""
    entry = _entry(number, "shop-edge")
    return Story([], [entry, *make_spans(number, T + 5 * MS, entry.span_id, 80 * MS)])


def test_a_service_named_in_the_settings_is_a_gateway(tmp_path: Path) -> None:
    """The rules of the setting reach every place where timelines are made: detail and list."""
    story = _named_story(1)
    rules = parse_service_rules("shop-edge=traefik")
    with asking([story], tmp_path, gateway_services=rules) as (questions, _):
        timeline = questions.timeline(number_id(1))
        assert [each.record.gateway for each in timeline.gateway_records] == ["traefik"]
        (found,) = questions.search([("start", "-1h")]).requests
        assert found.is_joined


def test_a_wrong_rule_stops_the_start(tmp_path: Path) -> None:
    """A typo is told at once, with the name of the setting."""
    settings = load_settings(data_dir=tmp_path / "data", gateway_spans="shop-edge")
    with pytest.raises(ConfigError, match="HOPLINE_GATEWAY_SPANS"):
        run(settings, "all")
    assert not (tmp_path / "data").exists()
