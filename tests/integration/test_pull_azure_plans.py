"""Tables on cheaper plans, resources instead of workspaces, other clouds than the public one."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.config import load_settings
from collector.demo.kusto import kusto_time
from collector.errors import ConfigError
from tests.doubles.azure_scene import TABLE, WORKSPACE, S, Scene, open_scene

RESOURCE = (
    "/subscriptions/4b8d1c9e-3f52-4a60-9b7d-1e6f0a2c5d38/resourceGroups/edge/providers/"
    "Microsoft.ApiManagement/service/quay"
)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(tmp_path) as scene:
        yield scene


async def test_table_on_the_basic_plan_is_searched(scene: Scene) -> None:
    """Refused by /query, its rows come by /search, with the span beside a query without times."""
    correlation_id = scene.add()
    scene.azure.set_basic(TABLE)
    await scene.poller().poll_once()
    assert scene.sink.record_ids == [correlation_id]
    assert scene.state()["last_error"] is None
    refused, *searched = scene.azure.queries
    assert "let start" in refused.text
    assert searched
    assert all(query.timespan and "let" not in query.text for query in searched)


async def test_searched_table_is_asked_less_often_for_less(scene: Scene) -> None:
    """A search costs by the bytes of its span: every 5 minutes, and an hour back at most."""
    scene.add()
    scene.azure.set_basic(TABLE)
    poller = scene.poller()
    assert await poller.poll_once() == 300
    scene.clock.advance(s=300)
    later = scene.add()
    await poller.poll_once()
    assert later in scene.sink.record_ids
    low, _, high = str(scene.azure.queries[-1].timespan).partition("/")
    assert low >= kusto_time(scene.clock.now_ns() - 2 * 3600 * S)[:19]
    assert high


async def test_resource_is_asked_by_its_path(scene: Scene) -> None:
    """Without a workspace the logs of one resource are read, with a watermark of its own."""
    scene.settings = replace(scene.settings, workspace_ids=(), resource_ids=(RESOURCE,))
    now_ns = scene.clock.now_ns()
    row = {"TimeGenerated": kusto_time(now_ns - 9 * S), "CorrelationId": "c-1", "Method": "GET"}
    scene.azure.add(RESOURCE.lstrip("/"), TABLE, row, ingested_ns=now_ns - 5 * S)
    await scene.poller().poll_once()
    assert scene.sink.record_ids == ["c-1"]
    assert {query.workspace for query in scene.azure.queries} == {RESOURCE.lstrip("/")}
    (state,) = scene.settings.state_directory.glob("*.json")
    assert json.loads(state.read_bytes())["workspace"] == RESOURCE


async def test_basic_table_of_a_resource_is_refused_by_name(scene: Scene) -> None:
    """Azure searches workspaces only: the error says which setting to use instead."""
    scene.settings = replace(scene.settings, workspace_ids=(), resource_ids=(RESOURCE,))
    scene.azure.add(RESOURCE.lstrip("/"), TABLE, {"Method": "GET"})
    scene.azure.set_basic(TABLE)
    await scene.poller().poll_once()
    (state,) = scene.settings.state_directory.glob("*.json")
    error = json.loads(state.read_bytes())["last_error"]
    assert "HOPLINE_AZURE_WORKSPACE_IDS" in error["hint"]
    assert RESOURCE in error["message"]


@pytest.mark.parametrize(
    ("cloud", "endpoint", "authority"),
    [
        ("public", "https://api.loganalytics.io", "login.microsoftonline.com"),
        ("usgovernment", "https://api.loganalytics.us", "login.microsoftonline.us"),
        ("china", "https://api.loganalytics.azure.cn", "login.chinacloudapi.cn"),
    ],
)
def test_cloud_chooses_endpoint_and_authority(cloud: str, endpoint: str, authority: str) -> None:
    """One setting points queries and tokens at the same cloud."""
    azure = load_settings(azure_cloud=cloud, azure_workspace_ids=WORKSPACE).azure()
    assert (azure.endpoint, azure.authority) == (endpoint, authority)


def test_endpoint_of_ones_own_goes_before_the_clouds() -> None:
    """A private link or a double is asked where it is."""
    azure = load_settings(azure_cloud="china", azure_endpoint="https://own.example/").azure()
    assert azure.endpoint == "https://own.example"


@pytest.mark.parametrize("resource", ["quay", WORKSPACE, "/subscriptions/x", RESOURCE.lstrip("/")])
def test_what_is_no_resource_id_is_refused(resource: str) -> None:
    """A name or a workspace's id is named, with the command that prints the right one."""
    with pytest.raises(ConfigError) as error:
        load_settings(azure_resource_ids=resource)
    assert repr(resource) in str(error.value)
    assert "az resource show" in str(error.value)
