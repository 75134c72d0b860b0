"""Access logs: every layout to the same facts, and nothing else taken for one."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode.envoy.access_log import (
    RESPONSE_FLAGS,
    direction_of,
    entry_from_log,
    upstream_service,
)
from collector.decode.envoy.response_flags import primary_flag
from collector.model import LogRecord

FIXTURE = Path(__file__).parents[3] / "fixtures/formats/access_log/entries.json"
CASES: list[dict[str, Any]] = json.loads(FIXTURE.read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_fixture(case: dict[str, Any]) -> None:
    """Each log record of the fixture gives the entry written beside it, or none."""
    entry = entry_from_log(LogRecord(**case["log"]))
    if case["entry"] is None:
        assert entry is None
        return
    assert entry is not None
    read = {name: getattr(entry, name) for name in case["entry"]}
    assert {**read, "flags": list(entry.flags)} == {"flags": list(entry.flags), **case["entry"]}


def test_log_records_captured_from_envoy_are_all_read() -> None:
    """Each access log record of real Envoys gives status, path, direction and timings."""
    count = 0
    for path in sorted((FIXTURE.parents[2] / "envoy").glob("*.json")):
        for group in json.loads(path.read_text())["logs"]["resourceLogs"]:
            for log in group["scopeLogs"][0]["logRecords"]:
                attributes = {a["key"]: a["value"]["stringValue"] for a in log["attributes"]}
                record = LogRecord(
                    time_ns=int(log["timeUnixNano"]),
                    body=log["body"]["stringValue"],
                    attributes=attributes,
                )
                entry = entry_from_log(record)
                assert entry is not None
                assert (entry.service, entry.path[:1]) == (attributes["service"], "/")
                assert entry.direction and entry.request_id and entry.status is not None
                assert entry.start_ns // 1_000_000 == record.time_ns // 1_000_000
                assert entry.duration_ns is not None
                count += 1
    assert count >= 30


def test_every_documented_flag_says_whose_fault_it_is() -> None:
    """The table holds the thirty flags of Envoy with closed words for side and fault."""
    assert len(RESPONSE_FLAGS) == 30
    assert {row.side for row in RESPONSE_FLAGS.values()} == {"client", "proxy", "upstream", "none"}
    assert all(row.name and row.meaning for row in RESPONSE_FLAGS.values())


@pytest.mark.parametrize(
    ("flags", "cause"),
    [("UF,URX", "UF"), ("URX,UC", "UC"), ("DC,UAEX", "UAEX"), ("-", None), ("XNEW", None)],
)
def test_most_telling_flag_names_the_cause(flags: str, cause: str | None) -> None:
    """Exhausted retries and aborts are consequences: the flag behind them is the cause."""
    log = LogRecord(time_ns=1, attributes={"response_code": "503", "response_flags": flags})
    entry = entry_from_log(log)
    assert entry is not None
    flag = primary_flag(entry.flags)
    assert (flag.flag if flag else None) == cause


@pytest.mark.parametrize(
    ("cluster", "direction", "host"),
    [
        (
            "outbound|80|v1|price.depot.svc.cluster.local",
            "outbound",
            "price.depot.svc.cluster.local",
        ),
        ("inbound|8080||", "inbound", ""),
        (
            "inbound-vip|80|http|price.depot.svc.cluster.local",
            "inbound",
            "price.depot.svc.cluster.local",
        ),
        ("PassthroughCluster", "outbound", ""),
        ("BlackHoleCluster", "outbound", ""),
        ("InboundPassthroughClusterIpv4", "inbound", ""),
        ("httproute/a/b/rule/0", "", ""),
        ("", "", ""),
    ],
)
def test_cluster_name_tells_direction_and_peer(cluster: str, direction: str, host: str) -> None:
    """Istio's cluster names say which way a request went and to whom."""
    assert (direction_of(cluster), upstream_service(cluster)) == (direction, host)


@given(
    st.text(max_size=200), st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=5)
)
def test_any_text_is_read_without_complaint(body: str, attributes: dict[str, str]) -> None:
    """Whatever a log record holds, reading it gives an entry or `None` and never an error."""
    entry_from_log(LogRecord(time_ns=1, body=body, attributes=attributes))


@pytest.mark.parametrize(
    "body",
    [
        '[2026-01-02T10:00:01.250Z] "GET /a HTTP/1.1" 200 - 0 1 2 3 "-" ' + '"a" ' * 4000 + '"',
        "[" + '"' * 16_000,
        "{" + '"a":' * 20_000,
        '{"a":' + "[" * 100_000,
        "[2026] " + '"' + "x " * 8000,
    ],
    ids=["many quoted fields", "quotes", "keys", "deep json", "spaces"],
)
def test_hostile_line_takes_no_time(body: str) -> None:
    """A line made to confuse the parser is given up within a tenth of a second."""
    started = time.thread_time()
    entry_from_log(LogRecord(time_ns=1, body=body))
    assert time.thread_time() - started < 0.1
