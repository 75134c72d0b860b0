"""
What the processes that take data in have counted, on this machine and on all others.

In: the files that ingest and pollers write to the data folder. Out: their documents, of every node
where several share a ClickHouse.
"""

import json
import logging
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from collector.errors import CollectorError
from collector.settings import find_numbered
from collector.store import Store

Kind = Literal["ingest", "pull"]
Document = Mapping[str, Any]
_EVERY_S = 10.0
_MAX_BYTES = 4 * 1024 * 1024
_log = logging.getLogger(__name__)


class Nodes:
    """
    The documents of all nodes. Thread-safe.

    With the embedded engine there is one node, whose files are read; else each node that loads
    publishes its own through ClickHouse, and all are read from there.
    """

    def __init__(self, store: Store, data_dir: Path) -> None:
        self._store = store
        self._data_dir = data_dir
        self._name = f"{socket.gethostname()}:{data_dir.absolute()}"
        self._published: dict[Kind, str] = {}

    def documents(self, kind: Kind) -> list[Document]:
        """Return the documents of a kind; none of it is older than some seconds."""
        if self._store.is_embedded:
            return list(self._own(kind))
        found: list[Document] = []
        for text in self._store.get_node_status(kind):
            found += [each for each in json.loads(text) if isinstance(each, dict)]
        return found

    def publish(self) -> None:
        """Publish this node's documents, if they have changed. Raises `StoreUnavailable`."""
        if self._store.is_embedded:
            return
        kinds: Sequence[Kind] = ("ingest", "pull")
        for kind in kinds:
            text = json.dumps(list(self._own(kind)))
            if text != self._published.get(kind):
                self._store.set_node_status(self._name, kind, text)
                self._published[kind] = text

    def _own(self, kind: Kind) -> Iterator[Document]:
        counted = self._data_dir / "status" / "ingest.json"
        paths = (
            [counted, *find_numbered(counted)]
            if kind == "ingest"
            else sorted((self._data_dir / "pull").glob("*.json"))
        )
        for path in paths:
            document = _read_json(path)
            if document:
                yield {"name": path.stem, **document}


def publish_all(nodes: Sequence[Nodes], halt: threading.Event) -> None:
    """Publish what this node has counted, of every tenant, until *halt* is set. Never raises."""
    while not halt.wait(_EVERY_S):
        for each in nodes:
            try:
                each.publish()
            except CollectorError as exc:
                _log.warning("cannot publish the counts of this node: %s", exc.message)
            except Exception:
                _log.exception("publishing the counts of this node failed")


def _read_json(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
