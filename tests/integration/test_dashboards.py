"""Every query of the Grafana dashboards runs on the tables that Hopline makes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver import Client

from collector.clock import SystemClock
from collector.config import load_settings
from collector.store import open_store
from collector.telemetry import Metrics

DASHBOARDS = Path(__file__).parents[2] / "dashboards"
QUERIES = [
    pytest.param(target["rawSql"], id=f"{path.stem}: {panel['title']}")
    for path in sorted(DASHBOARDS.glob("*.json"))
    for panel in json.loads(path.read_text())["panels"]
    for target in panel["targets"]
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    settings = load_settings(data_dir=tmp_path_factory.mktemp("dashboards")).store()
    store = open_store(settings, SystemClock(), Metrics())
    store.migrate()
    bare = clickhouse_connect.get_client(dsn=f"chdb://{settings.directory}")
    try:
        yield bare
    finally:
        bare.close()
        store.close()


def _expand(sql: str) -> str:
    """Put in what Grafana puts in for its macros, for the last hour in steps of a minute."""
    sql = re.sub(
        r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)", sql
    )
    sql = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 >= now() - 3600 AND \1 <= now()", sql)
    return sql.replace("$__interval_s", "60")


@pytest.mark.parametrize("sql", QUERIES)
def test_a_dashboard_query_runs_on_the_real_tables(client: Client, sql: str) -> None:
    """No column is misspelt, and the columns that a panel needs come out."""
    client.command(_expand(sql))
    columns = {row[0] for row in client.query(f"DESCRIBE TABLE ({_expand(sql)})").result_rows}
    assert {"time", "series"} <= columns or {"start", "record_id"} <= columns
