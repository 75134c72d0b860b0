"""The driver of Grafana's ClickHouse data source, in Go, reads what the dashboards ask for."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_dashboards import BOARDS, expand, filled_port
from tests.packaging.tools import fetched, go_module, need
from tests.sql_client import SqlClient

SOURCES = Path(__file__).parent / "clickhouse_go"


@pytest.fixture(scope="module")
def driver() -> Path:
    """A small program around clickhouse-go, built once and kept."""
    need("go", "it builds a client around clickhouse-go")
    return fetched("clickhouse-go", *go_module(SOURCES, "ask"), "Go modules") / "ask"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlClient]:
    with filled_port(tmp_path_factory.mktemp("grafana")) as client:
        yield client


@pytest.mark.timeout(900)
def test_clickhouse_go_runs_every_query_of_the_dashboards(driver: Path, port: SqlClient) -> None:
    """Over HTTP with gzip, as the data source connects: every answer is decoded, row by row."""
    queries = [
        expand(target["rawSql"], {})
        for board in BOARDS.values()
        for panel in board["panels"]
        for target in panel.get("targets", ())
        if "rawSql" in target
    ]
    answers = _ask(driver, port, queries)
    for query, answer in zip(queries, answers, strict=True):
        assert "error" not in answer, (query, answer)
        assert answer["rows"] > 0, query


@pytest.mark.timeout(900)
def test_clickhouse_go_reads_rows_of_all_types_and_errors(driver: Path, port: SqlClient) -> None:
    """Whole rows of each view, no rows, many blocks, and refusals with their code."""
    answers = _ask(
        driver,
        port,
        [
            "SELECT * FROM requests LIMIT 5",
            "SELECT * FROM hops LIMIT 5",
            "SELECT * FROM otel_traces LIMIT 5",
            "SELECT name, type FROM system.columns WHERE database = 'hopline' LIMIT 500",
            "SELECT number FROM numbers(300000)",
            "SELECT request_id FROM requests WHERE 0",
            "SELECT * FROM url('http://127.0.0.1:9/')",
            "SELECT nothing FROM requests",
        ],
    )
    assert [each["rows"] for each in answers[:3]] == [5, 5, 5]
    assert answers[3]["rows"] > 50
    assert answers[4]["rows"] == 300_000
    assert answers[5] == {"columns": ["request_id"], "rows": 0}
    assert answers[6]["code"] == 497
    assert answers[7]["code"] == 47


def _ask(driver: Path, port: SqlClient, statements: list[str]) -> list[dict[str, Any]]:
    asked = {"address": port.url.removeprefix("http://"), "password": "", "statements": statements}
    done = subprocess.run(
        [driver], input=json.dumps(asked), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers
