"""Settings from the environment: what is refused, and what only looks like one."""

from typing import Any

import pytest

from collector.config import load_settings
from collector.errors import ConfigError
from collector.settings import is_loopback


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("HOPLINE_API_PROT", "HOPLINE_API_PORT"),
        ("HOPLINE_INGEST_TOKEN", "HOPLINE_INGEST_TOKENS"),
        ("HOPLINE_TTL_DAY", "HOPLINE_TTL_DAYS"),
        ("hopline_journal_max_byte", "HOPLINE_JOURNAL_MAX_BYTES"),
        ("HOPLINE_CLICKHOUSE", "HOPLINE_CLICKHOUSE_"),
    ],
)
def test_a_slip_in_a_name_is_told(
    variable: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is not a setting is refused, and the setting like it is named."""
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ConfigError, match=f"{variable} is not a setting: did you mean {meant}"):
        load_settings()


def test_a_variable_unlike_any_setting_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """All variables that are no settings are named at once, also those that are like none."""
    monkeypatch.setenv("HOPLINE_QUUX", "1")
    monkeypatch.setenv("HOPLINE_API_PROT", "1")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert "HOPLINE_QUUX is not a setting" in caught.value.message
    assert "did you mean HOPLINE_API_PORT?" in caught.value.message


def test_what_others_read_is_let_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of the terminal, and other programs' variables, are no slips."""
    for name in ("HOPLINE_URL", "HOPLINE_TOKEN", "HOPLINER", "MY_HOPLINE_PORT"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("hopline_ttl_days", "3")
    assert load_settings().ttl_days == 3


def test_service_links_of_kubernetes_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Kubernetes sets for Services called hopline and hopline-ingest changes nothing."""
    for prefix in ("HOPLINE", "HOPLINE_INGEST", "HOPLINE_API"):
        monkeypatch.setenv(f"{prefix}_PORT", "tcp://10.0.0.7:4318")
        monkeypatch.setenv(f"{prefix}_SERVICE_HOST", "10.0.0.7")
        monkeypatch.setenv(f"{prefix}_SERVICE_PORT", "4318")
        monkeypatch.setenv(f"{prefix}_SERVICE_PORT_OTLP_HTTP", "4318")
        monkeypatch.setenv(f"{prefix}_PORT_4318_TCP", "tcp://10.0.0.7:4318")
        monkeypatch.setenv(f"{prefix}_PORT_4318_TCP_ADDR", "10.0.0.7")
    settings = load_settings()
    assert (settings.ingest_port, settings.api_port) == (4318, 8080)


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_tokens(bind: str) -> None:
    """Every address that only this machine reaches is loopback."""
    assert is_loopback(bind)
    assert load_settings(bind=bind).bind == bind


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "10.1.2.3", "hopline.test", "127.0.0.1.test"])
def test_other_addresses_need_tokens(bind: str) -> None:
    """An address that others reach is refused without tokens for both sides."""
    with pytest.raises(ConfigError, match="HOPLINE_INGEST_TOKENS"):
        load_settings(bind=bind)
    with pytest.raises(ConfigError, match="HOPLINE_QUERY_TOKENS"):
        load_settings(bind=bind, ingest_tokens="one")
    assert load_settings(bind=bind, ingest_tokens="one, two", query_tokens="three").bind == bind


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:4318",
        "http://localhost:4317/",
        "https://[::1]:4318/v1/traces",
        "grpc://localhost:4317",
    ],
)
def test_an_export_to_the_own_port_is_refused(endpoint: str) -> None:
    """Spans that come back would be exported for ever."""
    with pytest.raises(ConfigError, match="own port"):
        load_settings(export_otlp_endpoint=endpoint)
    moved = load_settings(export_otlp_endpoint=endpoint, ingest_port=4400, otlp_grpc_port=0)
    assert moved.export().traces_url.endswith("/v1/traces")


@pytest.mark.parametrize(
    "endpoint",
    ["tempo:4318", "grpc://tempo", "grpcs://tempo:4317/x", "http://", "http://a/?b", "grpc://:1"],
)
def test_an_export_to_no_address_is_refused(endpoint: str) -> None:
    """What is no address of OTLP over HTTP is told at the start."""
    with pytest.raises(ConfigError, match="HOPLINE_EXPORT_OTLP_ENDPOINT"):
        load_settings(export_otlp_endpoint=endpoint)


def test_an_endpoint_may_name_the_whole_path() -> None:
    """`/v1/traces` is added once, and headers stay out of what is printed."""
    settings = load_settings(
        export_otlp_endpoint="https://otlp.test/otlp/v1/traces/",
        export_otlp_headers="authorization=Bearer abc=,x-scope=2",
        export_otlp_gateways="kong, azure-apim",
    )
    export = settings.export()
    assert export.traces_url == "https://otlp.test/otlp/v1/traces"
    assert export.headers == (("authorization", "Bearer abc="), ("x-scope", "2"))
    assert export.gateways == ("kong", "azure-apim")
    assert "abc" not in repr(export) + repr(settings)


def test_one_time_to_live_that_is_set_alone_holds_for_spans_too() -> None:
    """Who had set how long rows are kept keeps the spans as long as that."""
    assert load_settings().store().retention.span_days == 7
    assert load_settings(ttl_days=30).store().retention.span_days == 30
    assert load_settings(ttl_days=30, span_ttl_days=3).store().retention.span_days == 3


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        ({}, True),
        ({"keep_spans": False}, False),
        ({"ttl_days": 30}, False),
        ({"ttl_days": 30, "span_ttl_days": 3}, True),
        ({"ttl_days": 3, "span_ttl_days": 3}, False),
        ({"ttl_days": 0, "span_ttl_days": 3}, True),
        ({"ttl_days": 3, "span_ttl_days": 0}, False),
    ],
)
def test_spans_are_kept_where_records_live_longer(given: dict[str, Any], is_kept: bool) -> None:
    """What would live as long anyway is not copied."""
    assert load_settings(**given).store().retention.does_keep is is_kept
