"""
Where pulled records go: the one promise that pollers and consumers rely on, and what they count.
"""

from collections.abc import Sequence
from typing import Protocol

from collector.model import Decoded, GatewayRecord, Receipt
from collector.telemetry import Metrics


class RecordSink(Protocol):
    """
    Takes gateway records for good.

    `accept_records` returns only when the records are durable, so a caller may move its watermark
    or commit its offset after it, and not before. The sequence is not kept; it may be empty.

    Raises:
        JournalError: nothing was taken; ask again after `retry_after_s`. Retryable.
    """

    async def accept_records(
        self, records: Sequence[GatewayRecord], *, door: str, source: str
    ) -> Receipt: ...


def count_ignored(decoded: Decoded, metrics: Metrics, door: str) -> None:
    """Count what a source sent beside its requests."""
    for each in decoded.ignored:
        metrics.count("hopline_intake_records_ignored_total", door=door, reason=each.code)
