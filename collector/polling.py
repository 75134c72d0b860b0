"""
Whose turn it is to poll a source, where several nodes share a ClickHouse server.

In: the sources that this node may poll. Out: their `ProgressStore`s. Each node claims each of its
sources; the one whose claim holds polls, and what it has reached lies in the table
`pull_progress`, where the next one goes on. A thread does the claiming, so that neither doors nor
pollers wait for ClickHouse: while there is none, claims run out and nobody polls.
"""

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from collector.clock import Clock
from collector.errors import CollectorError, StoreUnavailable
from collector.pull.watermarks import Progress, WatermarkFile
from collector.store import Lease, PullProgress, Store, poll_of
from collector.store.leases import LASTS_S
from collector.telemetry import Metrics

_LOOK_S = 1.0
_END_S = 5.0
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError)
_log = logging.getLogger(__name__)


class SharedPolling:
    """
    The turns of this node.

    *open_store* connects; it is called in the thread of `claiming`, until it does not raise
    `StoreUnavailable` any more. Below *data_dir* lie the files of a version that knew no turns.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        data_dir: Path,
        clock: Clock,
        metrics: Metrics,
        *,
        lasts_s: float = LASTS_S,
    ) -> None:
        self._open_store = open_store
        self._directory = data_dir / "pull"
        self._node = f"{socket.gethostname()}:{data_dir.absolute()}"
        self._clock = clock
        self._metrics = metrics
        self._lasts_s = lasts_s
        self._store: Store | None = None
        self._sources: list[SharedProgress] = []
        self._problem = ""

    def open(self, workspace: str, table: str) -> "SharedProgress":
        """Return what keeps the progress of a source, and claim its turn from now on."""
        source = SharedProgress(WatermarkFile(self._directory, workspace, table), workspace, table)
        source.show(self._metrics, self._clock.now_ns())
        self._sources.append(source)
        return source

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Claim what is open and renew the claims; in the end they are given back."""
        halt = threading.Event()
        # a server that does not answer must not keep the process
        thread = threading.Thread(target=self._run, args=(halt,), name="turns", daemon=True)
        thread.start()
        try:
            yield
        finally:
            halt.set()
            thread.join(_END_S)

    def _run(self, halt: threading.Event) -> None:
        while not halt.is_set():
            self._claim()
            halt.wait(min(_LOOK_S, self._lasts_s / 10))
        with suppress(CollectorError):
            for source in self._sources:
                source.give_back()
        if self._store is not None:
            self._store.close()

    def _claim(self) -> None:
        problem = ""
        try:
            if self._store is None:
                self._store = self._open_store()
            for source in list(self._sources):
                source.claim(self._store, self._node, self._lasts_s)
        except CollectorError as exc:
            problem = exc.message
        except Exception as exc:
            _log.exception("claiming the turns of polled sources failed and will be tried again")
            problem = f"{type(exc).__name__}: {exc}"
        if problem and not self._problem:
            _log.warning("doors go on, but no turn to poll can be claimed: %s", problem)
        elif self._problem and not problem:
            _log.info("ClickHouse answers again, and sources are polled by who has their turn")
        self._problem = problem
        for source in list(self._sources):
            source.show(self._metrics, self._clock.now_ns())


class SharedProgress:
    """
    The progress of one source, kept in ClickHouse for whichever node has the turn.

    What this process reached and could not save is not read again as long as no other node has
    gone on meanwhile.
    """

    def __init__(self, file: WatermarkFile, workspace: str, table: str) -> None:
        self._file = file
        self._workspace = workspace
        self._table = table
        self._name = f"azure-monitor/{workspace}/{table}"
        self._store: Store | None = None
        self._lease: Lease | None = None
        self._last: Progress | None = None
        self._is_loaded = False
        self._since_ns = 0

    def is_held(self) -> bool:
        """Tell at once whether this process may poll the source now."""
        return self._lease is not None and self._lease.is_good

    def load(self) -> Progress:
        """
        Return what was saved last by any node, or what a version without turns left in files.

        Raises:
            StoreUnavailable: ClickHouse does not answer. Retryable.
        """
        self._is_loaded = False
        if self._store is None or self._lease is None:
            raise StoreUnavailable(f"{self._name}: ClickHouse has not answered yet")
        kept = self._store.get_pull_progress(self._workspace, self._table)
        if kept is None:
            found = self._last or self._adopt(self._store)
        elif kept.holder == self._lease.holder and self._last is not None:
            found = self._last
        else:
            found = self._read(kept)
        self._last = found
        self._is_loaded = True
        return found

    def save(self, progress: Progress) -> None:
        """
        Keep *progress* for whoever polls next.

        Raises:
            StoreUnavailable: it is not kept; also where the turn has been lost meanwhile, or what
                was there before could not be read. Retryable.
        """
        if self._store is None or self._lease is None or not self._is_loaded or not self.is_held():
            raise StoreUnavailable(f"{self._name}: its turn is over, another node may poll it")
        self._last = progress
        document = json.dumps(progress.to_document() | {"turn_since_ns": self._since_ns})
        seen = json.dumps(progress.seen_to_document())
        kept = PullProgress(self._lease.holder, document, seen)
        self._store.set_pull_progress(self._workspace, self._table, kept)
        self._file.put_away()

    def claim(self, store: Store, node: str, lasts_s: float) -> None:
        """Claim the turn, or renew the claim where it is time to. Raises `StoreUnavailable`."""
        if self._lease is None:
            self._store = store
            self._lease = Lease(
                store, poll_of(self._workspace, self._table), node=node, lasts_s=lasts_s
            )
        self._lease.is_held()

    def give_back(self) -> None:
        """Let another node go on at once. Raises `StoreUnavailable`."""
        if self._lease is not None:
            self._lease.give_back()

    def show(self, metrics: Metrics, now_ns: int) -> None:
        """Tell metrics and log whether this process has the turn, and note since when."""
        is_held = self.is_held()
        metrics.gauge("hopline_pull_held", int(is_held), source=self._name)
        if is_held != bool(self._since_ns):
            self._since_ns = now_ns if is_held else 0
            _log.info("%s: %s", self._name, "polled here" if is_held else "not polled here")

    def _read(self, kept: PullProgress) -> Progress:
        try:
            return Progress.from_document(json.loads(kept.progress), json.loads(kept.seen))
        except _MALFORMED as exc:
            # rows stored twice are one record to every reader
            _log.warning("%s: its progress is unreadable and begins anew: %s", self._name, exc)
            return Progress(self._workspace, self._table)

    def _adopt(self, store: Store) -> Progress:
        """Return the furthest of what nodes of a version without turns have kept in files."""
        found = [self._file.load()]
        for text in store.get_node_status("pull"):
            for document in json.loads(text):
                with suppress(*_MALFORMED):
                    each = Progress.from_document(document, document["seen"])
                    if (each.workspace, each.table) == (self._workspace, self._table):
                        found.append(each)
        return max(found, key=lambda each: each.watermark_ns)
