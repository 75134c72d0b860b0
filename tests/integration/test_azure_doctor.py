"""`hopline doctor --source azure` finds the step that fails, and says what to do."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from collector.demo.log_analytics import Fault, LogAnalytics
from collector.model import GatewayRecord
from collector.pull.azure_doctor import Check, check_azure
from collector.pull.log_analytics import LogAnalyticsClient
from tests.doubles.azure_scene import TABLE, WORKSPACE, Scene, open_scene

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Refusing:
    """A credential that Entra ID refuses."""

    async def get_token(self, *scopes: str, **options: object) -> AccessToken:
        raise ClientAuthenticationError("AADSTS700213: No matching federated identity record")

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> "Refusing":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Nothing is open."""


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(tmp_path) as scene:
        yield scene


async def _run(
    scene: Scene, client: LogAnalyticsClient | None = None
) -> tuple[list[Check], list[GatewayRecord]]:
    results = [one async for one in check_azure(scene.settings, scene.clock, client)]
    checks = [one for one in results if isinstance(one, Check)]
    return checks, [one for one in results if isinstance(one, GatewayRecord)]


async def test_all_is_well(scene: Scene) -> None:
    """A row with a logged traceparent passes each step, and is the one to look for."""
    correlation_id = scene.add(BackendRequestHeaders={"traceparent": TRACEPARENT})
    checks, (record,) = await _run(scene)
    assert {check.status for check in checks} == {"ok"}
    assert len(checks) == 5
    assert record.record_id == correlation_id
    assert record.trace_id == TRACEPARENT[3:35]


async def test_nothing_to_poll_ends_at_the_settings(scene: Scene) -> None:
    """Without a workspace there is nothing to ask, and the command that prints its id is named."""
    scene.settings = replace(scene.settings, workspace_ids=())
    checks, _ = await _run(scene)
    assert [check.status for check in checks] == ["failed"]
    assert "customerId" in checks[0].fix


async def test_refused_credential_ends_before_the_tables(scene: Scene) -> None:
    """Nothing is asked without a token; the hint is the credential's own."""
    settings = replace(scene.settings, endpoint="https://127.0.0.1:9")
    client = LogAnalyticsClient(settings, credential=Refusing())
    checks, _ = await _run(scene, client)
    assert [check.name for check in checks] == ["settings", "credential"]
    assert "subject" in checks[1].fix
    assert scene.azure.queries == []


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (Fault.error(403, "InsufficientAccessError", "no access"), "Log Analytics Reader"),
        (Fault.error(404, "PathNotFoundError", "no workspace"), "not its name"),
        (Fault.error(400, "BadArgumentError", "failed to resolve table"), "resource-specific"),
    ],
)
async def test_failing_table_says_what_to_grant(scene: Scene, fault: Fault, named: str) -> None:
    """Role, workspace and table each have their own way out."""
    scene.azure.script(fault)
    checks, _ = await _run(scene)
    assert checks[-1].status == "failed"
    assert named in checks[-1].fix


async def test_empty_table_is_told_from_one_without_rights(scene: Scene) -> None:
    """A table that answers without a row of a day points at the diagnostic setting."""
    scene.azure.add(WORKSPACE, "AppRequests", {})
    checks, _ = await _run(scene)
    assert checks[-1].status == "failed"
    assert "diagnostic setting" in checks[-1].fix


async def test_rows_without_headers_and_ids_fail_both_steps(scene: Scene) -> None:
    """Header logging that is off is named before the ids that are missing for it."""
    scene.add()
    checks, records = await _run(scene)
    assert [check.status for check in checks[-2:]] == ["failed", "failed"]
    assert "0 of 1 rows carry logged headers" in checks[-2].says
    assert "W3C" in checks[-1].fix
    assert records == []


async def test_basic_plan_is_named_and_works(scene: Scene) -> None:
    """A table on the Basic plan passes, and it is said how often it is asked."""
    scene.add(BackendRequestHeaders={"traceparent": TRACEPARENT})
    scene.azure.set_basic(TABLE)
    checks, _ = await _run(scene)
    assert {check.status for check in checks} == {"ok"}
    assert any("Basic or Auxiliary plan" in check.says for check in checks)


async def test_old_rows_are_looked_at_with_a_warning(scene: Scene) -> None:
    """A gateway that has been quiet for hours is no failure."""
    scene.add(ago_s=3 * 3600, ingested_ago_s=3 * 3600, RequestHeaders={"traceparent": TRACEPARENT})
    checks, _ = await _run(scene)
    assert any(check.status == "warning" and "180 min old" in check.says for check in checks)


async def _command(azure: LogAnalytics, endpoint: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does, with no Hopline where it looks for one."""
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("HOPLINE_")},
        "HOPLINE_AZURE_WORKSPACE_IDS": WORKSPACE,
        "HOPLINE_AZURE_ENDPOINT": endpoint,
        "HOPLINE_AZURE_ALLOW_INSECURE": "true",
        "HOPLINE_URL": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "collector", "doctor", "--source", "azure"]
    return await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False
    )


async def test_command_prints_each_step_and_fails_with_one(tmp_path: Path) -> None:
    """A line a step; the exit status is 1 when a step failed, here the look-up in Hopline."""
    azure = LogAnalytics(workspaces=[WORKSPACE])
    row = {"CorrelationId": "c-1", "Method": "GET", "ResponseCode": 200}
    azure.add(WORKSPACE, TABLE, {**row, "RequestHeaders": {"traceparent": TRACEPARENT}})
    try:
        done = await _command(azure, await azure.start())
    finally:
        await azure.stop()
    lines = done.stdout.splitlines()
    assert [line.split(" ")[0] for line in lines[:5]] == ["ok"] * 5, done.stdout + done.stderr
    assert lines[5].startswith("FAILED  request c-1")
    assert done.returncode == 1
