"""Nodes that poll the same sources over one ClickHouse server: one at a time, from where it was."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.clock import SystemClock
from collector.errors import StoreUnavailable
from collector.polling import SharedPolling
from collector.pull.azure_monitor import AzureMonitorPoller
from collector.pull.watermarks import Progress, ProgressStore, WatermarkFile
from collector.query.learned.freshness import Freshness
from collector.query.results import SourceReport
from collector.settings import StoreSettings
from collector.store import Store, open_store
from collector.telemetry import Metrics
from tests.doubles.azure_scene import SOURCE, TABLE, WORKSPACE, S, Scene, open_scene
from tests.stored import clickhouse_server, opened, store_settings

_LASTS_S = 12.0  # a machine that does other things renews late


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    folder = tmp_path_factory.mktemp("server")
    with clickhouse_server(folder) as url:
        yield store_settings(folder, url=url)


@pytest.fixture
def store(server: StoreSettings, request: pytest.FixtureRequest) -> Iterator[Store]:
    """Yield a store whose database is the test's own."""
    with opened(replace(server, database=request.node.name[:60]), SystemClock()) as store:
        yield store


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_scene(tmp_path) as scene:
        yield scene


class _Node:
    """A node that may poll, until it leaves."""

    def __init__(self, store: Store, folder: Path, **given: Any) -> None:
        self.metrics = Metrics()
        self.folder = folder
        values = {"lasts_s": _LASTS_S, "open_store": _opener(store), **given}
        self._turns = SharedPolling(
            data_dir=folder, clock=SystemClock(), metrics=self.metrics, **values
        )
        self._stack = ExitStack()
        self._stack.enter_context(self._turns.claiming())
        self.kept: ProgressStore | None = None

    def open(self, workspace: str = WORKSPACE, table: str = TABLE) -> ProgressStore:
        self.kept = self._turns.open(workspace, table)
        return self.kept

    def poller(self, scene: Scene) -> AzureMonitorPoller:
        return scene.poller(open_progress=self.open)

    def wait(self) -> ProgressStore:
        """Wait for the turn."""
        assert self.kept
        _wait_for(self.kept.is_held)
        return self.kept

    def leave(self) -> None:
        self._stack.close()


def _opener(store: Store) -> Callable[[], Store]:
    return lambda: open_store(store.settings, SystemClock(), Metrics())


def _wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def nodes(store: Store, tmp_path: Path) -> Iterator[Callable[..., _Node]]:
    started: list[_Node] = []

    def start(**given: Any) -> _Node:
        started.append(_Node(store, tmp_path / f"node{len(started)}", **given))
        return started[-1]

    yield start
    for node in started:
        node.leave()


async def test_next_node_goes_on_where_the_last_one_was(
    scene: Scene, nodes: Callable[..., _Node]
) -> None:
    """Watermark, counts and known rows go along: what the overlap brings again is not taken."""
    first, second = nodes(), nodes()
    polling = first.poller(scene)
    first.wait()
    waiting = second.poller(scene)
    scene.add()
    await polling.poll_once()
    await waiting.poll_once()
    assert len(scene.sink.records) == 1, "who has not the turn asks nothing"
    assert first.metrics.value("hopline_pull_held", source=SOURCE) == 1
    first.leave()
    second.wait()
    scene.clock.advance(s=30)
    scene.add()
    await waiting.poll_once()
    assert len(scene.sink.records) == 2
    progress = second.wait().load()
    assert (progress.rows_accepted, progress.rows_repeated) == (2, 1)
    assert progress.watermark_ns == scene.clock.now_ns()


async def test_watermarks_of_files_are_taken_over_once(
    scene: Scene, nodes: Callable[..., _Node]
) -> None:
    """What a version without turns had read is not read again, and its file is put away."""
    scene.add()
    await scene.poller().poll_once()
    node = nodes()
    file = WatermarkFile(node.folder / "pull", WORKSPACE, TABLE)
    file.save(WatermarkFile(scene.settings.state_directory, WORKSPACE, TABLE).load())
    poller = node.poller(scene)
    node.wait()
    scene.clock.advance(s=1)
    await poller.poll_once()
    assert len(scene.sink.records) == 1
    assert node.wait().load().rows_accepted == 1
    assert not file.path.exists()


async def test_watermark_of_a_pod_that_is_no_more_is_taken_over(
    store: Store, scene: Scene, nodes: Callable[..., _Node]
) -> None:
    """The one pod that polled before has told ClickHouse: nodes with other disks go on there."""
    scene.add()
    await scene.poller().poll_once()
    document = {"name": "any", **scene.state()}
    store.set_node_status("hopline-pull-0:/var/lib/hopline", "pull", json.dumps([document]))
    node = nodes()
    poller = node.poller(scene)
    node.wait()
    scene.clock.advance(s=1)
    await poller.poll_once()
    assert len(scene.sink.records) == 1


async def test_sources_wait_for_clickhouse_and_are_polled_then(
    store: Store, scene: Scene, nodes: Callable[..., _Node], caplog: pytest.LogCaptureFixture
) -> None:
    """Without ClickHouse at the start nothing is asked, which the log says once."""
    is_there = threading.Event()

    def connect() -> Store:
        if not is_there.is_set():
            raise StoreUnavailable("nobody answers")
        return _opener(store)()

    node = nodes(open_store=connect)
    poller = node.poller(scene)
    scene.add()
    _wait_for(lambda: "nobody answers" in caplog.text)
    await poller.poll_once()
    assert not scene.azure.queries
    assert node.kept
    with pytest.raises(StoreUnavailable):
        node.kept.load()
    is_there.set()
    node.wait()
    assert caplog.text.count("nobody answers") == 1


def test_turn_runs_out_without_clickhouse(
    server: StoreSettings, tmp_path: Path, nodes: Callable[..., _Node]
) -> None:
    """A node that is cut off stops by itself, before another one may begin."""
    folder = tmp_path / "own"
    folder.mkdir()
    with clickhouse_server(folder) as url:
        with opened(replace(server, url=url)) as own:
            node = nodes(open_store=_opener(own))
            node.open()
            kept = node.wait()
            progress = kept.load()
        began = time.monotonic()
    _wait_for(lambda: not kept.is_held())
    assert time.monotonic() - began < _LASTS_S
    with pytest.raises(StoreUnavailable):
        kept.save(progress)
    _wait_for(lambda: node.metrics.value("hopline_pull_held") == 0)


async def test_what_could_not_be_saved_is_not_read_again(
    scene: Scene, nodes: Callable[..., _Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no other node polls, what this one has journaled is known, saved or not."""
    node = nodes()
    poller = node.poller(scene)
    kept = node.wait()
    await poller.poll_once()
    scene.clock.advance(s=30)
    scene.add()

    def refuse(*args: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "set_pull_progress", refuse)
        await poller.poll_once()
    assert len(scene.sink.records) == 1
    scene.clock.advance(s=30)
    await poller.poll_once()
    assert len(scene.sink.records) == 1
    assert kept.load().last_error is None


async def test_unread_progress_is_not_written_over(
    scene: Scene, nodes: Callable[..., _Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When what others reached cannot be read, nothing is asked and nothing is saved."""
    node = nodes()
    poller = node.poller(scene)
    kept = node.wait()
    known = Progress(WORKSPACE, TABLE, watermark_ns=scene.clock.now_ns(), rows_accepted=7)
    kept.load()
    kept.save(known)

    def refuse(*args: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "get_pull_progress", refuse)
        await poller.poll_once()
    assert not scene.azure.queries
    assert kept.load().rows_accepted == 7


async def test_nodes_with_other_workspaces_do_not_wait_for_each_other(
    nodes: Callable[..., _Node],
) -> None:
    """A turn is that of one source: what only one node knows is polled by that one."""
    first, second = nodes(), nodes()
    first.open("a")
    second.open("b")
    first.wait()
    second.wait()


async def test_every_query_node_says_the_same_of_polled_sources(
    store: Store, scene: Scene, nodes: Callable[..., _Node], tmp_path: Path
) -> None:
    """Watermark, counts, error and who polls come from the tables, whichever node is asked."""
    other, node = nodes(), nodes()
    other.open()
    other.wait()
    poller = node.poller(scene)
    began_ns = SystemClock().now_ns()
    other.leave()
    node.wait()
    scene.add()
    await poller.poll_once()
    # what the pod that polled before has left behind says nothing any more
    stale = {"workspace": WORKSPACE, "table": TABLE, "watermark_ns": 1, "rows_accepted": 99}
    store.set_node_status("hopline-pull-0:/data", "pull", json.dumps([stale]))
    asked = [Freshness(store, SystemClock(), tmp_path / f"query{n}") for n in range(2)]
    told = [_pulled(each) for each in asked]
    assert told[0] == told[1]
    [report] = told[0]
    assert (report.source, report.accepted) == (f"{WORKSPACE}/{TABLE}", 1)
    assert report.watermark_ns == report.last_received_ns == scene.clock.now_ns()
    assert report.polled_by.endswith(f":{node.folder}")
    assert (report.polled_since_ns or 0) >= began_ns, "since its turn, not since its claim"
    node.leave()
    [report] = _pulled(asked[0])
    assert (report.polled_by, report.note) == ("", "no node polls it at present")


def test_members_of_a_consumer_group_are_one_source(store: Store, tmp_path: Path) -> None:
    """What nodes read of one event hub is added up; an error of a node that is gone is too old."""
    now_ns = SystemClock().now_ns()
    error = {"message": "refused", "at_ns": now_ns}
    gone = {"message": "no such host", "at_ns": now_ns - 3600 * S}
    told: tuple[dict[str, Any], ...] = (
        {"watermark_ns": now_ns, "last_success_ns": now_ns, "rows_accepted": 3},
        {"watermark_ns": now_ns - S, "rows_accepted": 4, "last_error": error},
        {"watermark_ns": now_ns - 3600 * S, "rows_accepted": 5, "last_error": gone},
    )
    for number, each in enumerate(told):
        document = {"workspace": "event-hubs", "table": "apim", **each}
        store.set_node_status(f"node{number}", "pull", json.dumps([document]))
    [report] = _pulled(Freshness(store, SystemClock(), tmp_path))
    assert (report.source, report.accepted) == ("event-hubs/apim", 12)
    assert (report.watermark_ns, report.last_received_ns) == (now_ns, now_ns)
    assert (report.last_error, report.polled_by, report.note) == ("refused", "", "")


def test_progress_is_kept_without_pandas(store: Store, tmp_path: Path) -> None:
    """The driver's own way of inserting takes 80 MB, which a process with doors has no use for."""
    code = f"""
import sys
from dataclasses import replace
from pathlib import Path
from collector.clock import SystemClock
from collector.store import PullProgress, open_store
from collector.telemetry import Metrics
from tests.stored import store_settings
settings = store_settings(Path({str(tmp_path)!r}), url={store.settings.url!r})
settings = replace(settings, database={store.settings.database!r})
store = open_store(settings, SystemClock(), Metrics())
store.claim("work", "holder", 1)
store.set_pull_progress("w", "t", PullProgress("holder", "{{}}", "{{}}"))
assert store.get_pull_progress("w", "t") == PullProgress("holder", "{{}}", "{{}}")
store.close()
sys.exit("pandas" in sys.modules)
"""
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


def _pulled(freshness: Freshness) -> list[SourceReport]:
    return [each for each in freshness.reports() if each.stream == "pull"]
