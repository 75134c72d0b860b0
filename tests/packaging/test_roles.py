"""Roles of the chart as processes: each becomes ready by the probe that the chart asks."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Service, start_service
from tests.stored import clickhouse_server

SERVE = (sys.executable, "-m", "collector", "serve", "--role")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A ClickHouse over HTTP, a process of its own."""
    with clickhouse_server(tmp_path_factory.mktemp("clickhouse"), user="hopline_query") as url:
        yield url


def test_query_node_without_a_journal_is_ready(server: str, tmp_path: Path) -> None:
    """A pod of the query Deployment has an empty folder, and answers the readiness probe."""
    with _role("query", server, tmp_path) as service:
        status, body = service.get("/readyz")
    assert (status, body["status"]) == (200, "ok")
    assert "journal" not in body["components"]


def test_migration_job_makes_the_tables_and_ends(server: str, tmp_path: Path) -> None:
    """What the hook runs before an upgrade ends with success, also a second time."""
    environment = {"HOPLINE_CLICKHOUSE_URL": server, "HOPLINE_DATA_DIR": str(tmp_path)}
    for _ in range(2):
        command = [sys.executable, "-m", "collector", "migrate"]
        subprocess.run(command, env=environment, check=True, capture_output=True)


def _role(role: str, server: str, folder: Path) -> Service:
    return start_service(folder, command=[*SERVE, role], clickhouse_url=server)
