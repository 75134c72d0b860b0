"""Each alert about the APIs fires on what must raise it and on nothing else, and has a runbook."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sql_client import SqlClient, sql_port
from tests.stored import opened, store_settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "grafana"
GROUPS = yaml.safe_load((FOLDER / "alerting" / "hopline.yaml").read_text())["groups"]
RULES: dict[str, dict[str, Any]] = {rule["uid"]: rule for g in GROUPS for rule in g["rules"]}
PROMETHEUS = (ROOT / "deploy" / "helm" / "hopline" / "alerts.yaml").read_text()
# What is inserted: an API, how many requests, between which seconds ago, which share of them fails
# and is joined, and how many of 100 ms are the gateway's.
REQUESTS = (
    ("burning", 200, 0, 3600, 0.5, 1, 5),
    ("recovered", 200, 1200, 3600, 0.5, 1, 5),
    ("recovered", 200, 0, 600, 0, 1, 5),
    ("healthy", 500, 0, 3600, 0.005, 1, 5),
    ("healthy", 200, 7200, 80000, 0.005, 1, 5),
    ("rare", 10, 0, 3600, 1, 1, 5),
    ("heavy", 200, 0, 1700, 0, 1, 80),
    ("unjoined", 200, 7200, 80000, 0, 1, 5),
    ("unjoined", 200, 0, 3500, 0, 0, 5),
)
# A source, how many records, between which seconds ago.
RECORDS = (("silent", 100, 8000, 80000), ("alive", 100, 10, 80000), ("seldom", 3, 8000, 80000))


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlClient]:
    with opened(store_settings(tmp_path_factory.mktemp("alerts"))) as store:
        with store.connections.writing() as client:
            for api, count, since_s, until_s, failed, joined, gateway_ms in REQUESTS:
                # a gateway for each, since coverage is counted by gateway
                client.command(f"""
                    INSERT INTO hopline.request (bucket, place, request_id, revision, weight,
                        start_ns, duration_ns, gateway, api, is_error, gateway_ns, backend_ns,
                        is_joined)
                    SELECT toStartOfFiveMinutes(toDateTime(intDiv(at, 1000000000))), number,
                        concat('{api}', toString({since_s}), '-', toString(number)), 1, 1,
                        toInt64(at), 100000000, '{api}', '{api}', number < {count * failed},
                        {gateway_ms} * 1000000, 10000000, {joined}
                    FROM (SELECT number, (toUnixTimestamp(now()) - {since_s} - 1
                        - intDiv(number * ({until_s} - {since_s} - 100), {count})) * 1000000000
                        AS at FROM numbers({count}) ORDER BY cityHash64(number))""")
            for source, count, since_s, until_s in RECORDS:
                client.command(f"""
                    INSERT INTO hopline.gateway_record (bucket, gateway, record_id, start_ns,
                        source, received_ns)
                    SELECT toStartOfFiveMinutes(toDateTime(intDiv(at, 1000000000))), 'azure-apim',
                        concat('{source}', toString(number)), toInt64(at), '{source}', toInt64(at)
                    FROM (SELECT number, (toUnixTimestamp(now()) - {since_s} - 1
                        - intDiv(number * ({until_s} - {since_s}), {count})) * 1000000000
                        AS at FROM numbers({count}))""")
        with sql_port(store) as client:
            yield client


@pytest.mark.parametrize(
    ("uid", "fires"),
    [
        ("hopline-slo-burn", {"burning"}),
        ("hopline-gateway-share", {"heavy"}),
        ("hopline-join-drop", {"unjoined"}),
        ("hopline-source-silent", {"silent"}),
    ],
)
def test_an_alert_fires_for_what_it_is_about_and_nothing_else(
    port: SqlClient, uid: str, fires: set[str]
) -> None:
    """The expression over the real engine, and the threshold as the rule has it."""
    question, threshold = RULES[uid]["data"]
    assert RULES[uid]["condition"] == threshold["refId"]
    assert threshold["model"]["expression"] == question["refId"]
    (condition,) = threshold["model"]["conditions"]
    assert condition["evaluator"]["type"] == "gt"
    (limit,) = condition["evaluator"]["params"]
    answer = port.post(_expand(question) + " FORMAT JSONCompact")
    assert answer.status_code == 200, answer.text
    types = [column["type"] for column in answer.json()["meta"]]
    # Grafana makes labels of texts, and the value of the one number
    assert sum("Float" in each for each in types) == 1, types
    assert all("String" in each for each in types[:-1]), types
    rows = answer.json()["data"]
    labels = {row[-2] for row in rows if row[-1] is not None and row[-1] > limit}
    assert labels == fires
    assert len(rows) > len(fires), "what does not fire was asked about as well"


def test_every_alert_is_tried() -> None:
    """No rule is provisioned that the test above does not know."""
    assert len(RULES) == 4


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """Each has a sentence, a runbook that is there, and a dashboard that is there."""
    notes = rule["annotations"]
    assert notes["summary"]
    assert _anchor(notes["runbook"]) in _runbooks()
    board = notes["__dashboardUid__"].removeprefix("hopline-")
    assert (ROOT / "dashboards" / f"{board}.json").exists()
    uids = {each["uid"] for each in _yaml("datasources/hopline.yaml")["datasources"]}
    assert {each["datasourceUid"] for each in rule["data"]} <= uids | {"__expr__"}


def test_alerts_about_hopline_itself_have_runbooks() -> None:
    """So do Prometheus's rules, and they name metrics that Hopline has."""
    named = re.findall(r"runbook: (\S+)", PROMETHEUS)
    assert len(named) == PROMETHEUS.count("- alert:")
    assert {_anchor(each) for each in named} <= _runbooks()


def _anchor(runbook: str) -> str:
    path, _, anchor = runbook.partition("#")
    assert ROOT / path == FOLDER / "README.md"
    return anchor


def _runbooks() -> set[str]:
    titles = re.findall(r"^## (.+)$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def _yaml(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def _expand(question: dict[str, Any]) -> str:
    """Put in what the data source puts in for its macros, for the rule's range."""
    span = question["relativeTimeRange"]
    now = int(time.time())
    since, until = now - span["from"], now - span["to"]
    sql: str = question["model"]["rawSql"]
    sql = sql.replace(
        "$__timeFilter(start)", f"start >= toDateTime({since}) AND start <= toDateTime({until})"
    )
    sql = sql.replace("$__fromTime", f"toDateTime({since})")
    sql = sql.replace("$__toTime", f"toDateTime({until})")
    assert "$" not in sql, sql
    return sql
