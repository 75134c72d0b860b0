"""A sink that keeps what it is given, and can be told to refuse like a full journal."""

from collections.abc import Sequence

from collector.errors import JournalError
from collector.model import GatewayRecord, Receipt


class RecordSinkDouble:
    """
    Keeps records in the order of acceptance.

    *refusals* counts down: while it is positive every call raises `JournalError`; with
    *takes_before_refusing* that many calls go through first.
    """

    def __init__(self) -> None:
        self.records: list[GatewayRecord] = []
        self.calls: list[tuple[str, str, int]] = []
        self.refusals = 0
        self.takes_before_refusing = 0
        self.retry_after_s: int | None = None

    async def accept_records(
        self, records: Sequence[GatewayRecord], *, door: str, source: str
    ) -> Receipt:
        if self.refusals and not self.takes_before_refusing:
            self.refusals -= 1
            raise JournalError("the journal is full", retry_after_s=self.retry_after_s)
        self.takes_before_refusing = max(0, self.takes_before_refusing - 1)
        self.records.extend(records)
        self.calls.append((door, source, len(records)))
        return Receipt(accepted=len(records), rejected=0)

    @property
    def record_ids(self) -> list[str]:
        return [record.record_id for record in self.records]
