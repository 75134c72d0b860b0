"""Hopline's metrics, alerts and dashboard of itself, by Prometheus's own lint and engine."""

import json
import re
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from collector.telemetry import MEANINGS, Counter, Gauge, Histogram, Metrics
from tests.packaging.tools import ROOT, fetched, go_module, need

SOURCES = Path(__file__).parent / "prometheus_go"
RULES = yaml.safe_load((ROOT / "deploy" / "helm" / "hopline" / "alerts.yaml").read_text())
# By alert: series that raise it, series that do not, and the labels of what is raised. A value a
# minute, three hours of them.
ALERTS = {
    "HoplineJournalFilling": (
        'hopline_journal_pending_bytes{namespace="n", pod="full"} 3000000000x180',
        'hopline_journal_pending_bytes{namespace="n", pod="fine"} 1000000x180',
        {"namespace": "n", "pod": "full"},
    ),
    "HoplineRefusing": (
        'hopline_intake_envelopes_refused_total{namespace="n", reason="too_large"} 0+1x180',
        'hopline_intake_envelopes_refused_total{namespace="n", reason="once"} 5x180',
        {"namespace": "n", "reason": "too_large"},
    ),
    "HoplineDeadLetters": (
        'hopline_store_messages_dead_letter_total{namespace="n", stream="t"} 0x150 1x30',
        'hopline_store_messages_dead_letter_total{namespace="old", stream="t"} 7x180',
        {"namespace": "n"},
    ),
    "HoplineSourceLate": (
        'hopline_pull_lag_seconds{namespace="n", source="late"} 4000x180',
        'hopline_pull_lag_seconds{namespace="n", source="fine"} 300x180',
        {"namespace": "n", "source": "late"},
    ),
    "HoplinePullIdle": (
        'hopline_pull_held{namespace="n", source="idle", pod="a"} 0x180',
        'hopline_pull_held{namespace="n", source="fine", pod="a"} 1x180',
        {"namespace": "n", "source": "idle"},
    ),
    "HoplinePullFailing": (
        'hopline_pull_failures_total{namespace="n", source="broken", reason="403"} 0+1x180',
        'hopline_pull_failures_total{namespace="n", source="fine", reason="429"} 3x180',
        {"namespace": "n", "source": "broken"},
    ),
}


@pytest.fixture(scope="module")
def engine() -> Path:
    """Prometheus's engine and lint in one program, built once and kept."""
    need("go", "it builds Prometheus's engine")
    return fetched("prometheus", *go_module(SOURCES, "check"), "Go modules") / "check"


@pytest.mark.timeout(960)
def test_promtools_lint_has_nothing_to_say(engine: Path) -> None:
    """Every metric that Hopline can have: help, types, units and names."""
    metrics = Metrics()
    for name in get_args(Counter):
        metrics.count(name, door="d")
    for name in get_args(Gauge):
        metrics.gauge(name, 1, door="d")
    for name in get_args(Histogram):
        metrics.observe(name, 0.2, door="d")
    page = metrics.exposition()[0].decode()
    assert len(re.findall(r"^# TYPE", page, re.MULTILINE)) == len(MEANINGS)
    assert _check(engine, lint=page)["problems"] == []


def test_lint_sees_what_is_wrong(engine: Path) -> None:
    """A page without help, or with a counter that does not say so, is complained about."""
    problems = _check(engine, lint="# TYPE x_milliseconds counter\nx_milliseconds 1\n")["problems"]
    assert len(problems) >= 2


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_of_prometheus_fires_for_what_it_is_about(engine: Path, name: str) -> None:
    """Its expression over series that must raise it and series that must not."""
    (rule,) = (each for each in RULES if each["alert"] == name)
    raising, quiet, labels = ALERTS[name]
    (answer,) = _check(engine, [raising, quiet], [rule["expr"]])["answers"]
    assert answer["error"] == ""
    assert [{k: v for k, v in each.items() if k != "value"} for each in answer["series"]] == [
        labels
    ]
    (answer,) = _check(engine, [quiet], [rule["expr"]])["answers"]
    assert answer["series"] == []


def test_every_alert_of_prometheus_is_tried() -> None:
    """No rule is shipped that the test above does not know."""
    assert {rule["alert"] for rule in RULES} == set(ALERTS)


def test_every_query_of_the_dashboard_of_itself_gives_series(engine: Path) -> None:
    """Over series with the names and labels that Hopline gives them."""
    board = json.loads((ROOT / "dashboards" / "itself.json").read_text())
    queries = [
        target["expr"].replace("$__rate_interval", "5m")
        for panel in board["panels"]
        for target in panel["targets"]
    ]
    names = set(re.findall(r"hopline_\w+|process_\w+", " ".join(queries)))
    plain = {name.removesuffix("_bucket") for name in names if name.startswith("hopline_")}
    assert plain <= set(MEANINGS), "a metric that Hopline does not have"
    series = []
    for name in sorted(names):
        labels = (
            'instance="i", process="p", door="d", stream="s", reason="r", source="o", route="t"'
        )
        for bound in ("0.1", "+Inf") if name.endswith("_bucket") else ("",):
            series.append(
                f"{name}{{{labels}{', le=' + json.dumps(bound) if bound else ''}}} 0+5x180"
            )
    for query, answer in zip(queries, _check(engine, series, queries)["answers"], strict=True):
        assert answer["error"] == "", query
        assert answer["series"], query


def test_native_histograms_give_quantiles_of_what_was_counted(engine: Path) -> None:
    """A page as Prometheus scrapes it: its parser, storage and engine, against the observations."""
    observed = [0.001 * 1.004**number for number in range(2000)] + [0.0]
    metrics, pages = Metrics(), []
    place = {"gateway": "kong", "api": "orders", "phase": "total"}
    for at_s in (100, 180):
        for seconds in observed if at_s > 100 else [0.2]:
            metrics.observe("hopline_request_seconds", seconds, "ab" * 16, 3, **place)
        metrics.count("hopline_request_total", 6_003, joined="yes")
        metrics.gauge("hopline_journal_pending_bytes", at_s)
        body, content_type = metrics.exposition(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
            "encoding=delimited;q=0.7,application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.1"
        )
        assert content_type.startswith("application/vnd.google.protobuf")
        pages.append({"at_s": at_s, "content_type": content_type, "body": b64encode(body).decode()})
    name = "hopline_request_seconds"
    quantiles = (0.05, 0.5, 0.95, 0.99)
    answers = _check(
        engine,
        expressions=[
            *(f"histogram_quantile({each}, increase({name}[2m]))" for each in quantiles),
            f"histogram_count({name})",
            f"histogram_sum({name})",
            f"{name}_count",
            f'{name}_bucket{{le="+Inf"}}',
            f'{name}_bucket{{le="0.25"}}',
            "hopline_request_total",
            "hopline_journal_pending_bytes",
        ],
        pages=pages,
        at_s=180,
    )
    assert answers["pages"] == [
        {"histograms": 1, "exemplars": 1, "error": ""},
        {"histograms": 1, "exemplars": 12, "error": ""},
    ]
    values = [float(each["series"][0]["value"]) for each in answers["answers"]]
    for quantile, found in zip(quantiles, values, strict=False):
        exact = sorted(observed)[int(quantile * len(observed))]
        assert found == pytest.approx(exact, rel=0.09), quantile
    count = 3 * len(observed) + 3
    below = 3 * sum(each <= 0.25 for each in observed) + 3
    total = pytest.approx(3 * sum(observed) + 0.6)
    assert values[4:] == [count, total, count, count, below, 12_006, 180]


def _check(
    engine: Path,
    series: list[str] | None = None,
    expressions: list[str] | None = None,
    lint: str = "",
    pages: list[dict[str, Any]] | None = None,
    at_s: int = 3 * 3600 - 60,
) -> dict[str, Any]:
    load = "load 1m\n" + "".join(f"  {each}\n" for each in series or ())
    asked = {"load": load, "at_s": at_s, "expressions": expressions or [], "lint": lint}
    asked["pages"] = pages or []
    done = subprocess.run(
        [engine], input=json.dumps(asked), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    checked: dict[str, Any] = json.loads(done.stdout)
    return checked
