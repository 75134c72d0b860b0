"""Where pulled records go: the one promise that pollers and consumers rely on."""

from collections.abc import Sequence
from typing import Protocol

from collector.model import GatewayRecord, Receipt


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
