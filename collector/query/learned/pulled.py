"""
What is known of the sources that Hopline asks, whichever node asks them.

In: the progress that nodes take turns to move on, and the documents of each node's own. Out: one
`SourceReport` a source.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from collector.query.learned.nodes import Document, Nodes
from collector.query.results import SourceReport
from collector.store import Store
from collector.timestamps import NS_PER_S

# A node that was heard of so much earlier than the latest is gone, and its errors with it.
_CURRENT_NS = 300 * NS_PER_S


def find_pulled(store: Store, nodes: Nodes) -> Iterator[SourceReport]:
    """
    Yield what is known of each source that is asked.

    Where nodes take turns it is what the last one saved, and who has the turn. What several nodes
    read at the same time, as members of one consumer group, is added up.
    """
    shared: set[str] = set()
    for source in () if store.is_embedded else store.find_polled_sources():
        document = json.loads(source.progress)
        report = _report([document])
        shared.add(report.source)
        # who has just got its turn has not said since when
        since = document.get("turn_since_ns") if source.holder == source.writer else None
        yield replace(
            report,
            polled_by=source.holder.rpartition(" ")[0],
            polled_since_ns=positive(since),
            note="" if source.holder else "no node polls it at present",
        )
    own = defaultdict[str, list[Document]](list)
    for document in nodes.documents("pull"):
        if "watermark_ns" in document:
            own[_name(document)].append(document)
    # of a source with turns they are what an earlier version left
    yield from (_report(documents) for name, documents in own.items() if name not in shared)


def positive(value: object) -> int | None:
    """Return *value* if it is a whole number above 0."""
    return value if isinstance(value, int) and value > 0 else None


def _name(document: Document) -> str:
    return f"{document.get('workspace', '')}/{document.get('table', document.get('name', ''))}"


def _report(documents: Sequence[Document]) -> SourceReport:
    latest_ns = max(map(_heard_ns, documents))
    errors = [
        str(error.get("message", ""))
        for each in documents
        if isinstance(error := each.get("last_error"), dict)
        and _heard_ns(each) > latest_ns - _CURRENT_NS
    ]
    return SourceReport(
        source=_name(documents[0]),
        stream="pull",
        last_received_ns=_greatest(documents, "last_success_ns"),
        watermark_ns=_greatest(documents, "watermark_ns"),
        accepted=sum(positive(each.get("rows_accepted")) or 0 for each in documents),
        rejected=sum(positive(each.get("rows_rejected")) or 0 for each in documents),
        last_error=errors[0] if errors else "",
    )


def _greatest(documents: Sequence[Document], name: str) -> int | None:
    return max((positive(each.get(name)) or 0 for each in documents), default=0) or None


def _heard_ns(document: Document) -> int:
    error = document.get("last_error")
    failed_ns = positive(error.get("at_ns")) if isinstance(error, dict) else None
    return max(failed_ns or 0, positive(document.get("last_success_ns")) or 0)
