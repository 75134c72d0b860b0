"""
What every decoder of a span, log or metric protocol hands to intake, and how it keeps count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.model import RecordError

# code: (field, what is wrong with it)
FAULTS: Mapping[str, tuple[str, str]] = {
    "trace_id_length": ("trace_id", "trace_id is not 16 bytes long"),
    "trace_id_zero": ("trace_id", "trace_id is all zeros"),
    "span_id_length": ("span_id", "span_id is not 8 bytes long"),
    "span_id_zero": ("span_id", "span_id is all zeros"),
    "start_missing": ("start_time_unix_nano", "start_time_unix_nano is 0"),
    "start_past": ("start_time_unix_nano", "start_time_unix_nano is before the year 2000"),
    "start_future": ("start_time_unix_nano", "start_time_unix_nano is over a day in the future"),
    "end_future": ("end_time_unix_nano", "end_time_unix_nano is over a day in the future"),
    "time_past": ("time_unix_nano", "time_unix_nano is before the year 2000"),
    "time_future": ("time_unix_nano", "time_unix_nano is over a day in the future"),
    "time_missing": ("time_unix_nano", "time_unix_nano is 0"),
    "data_missing": ("data", "the metric has no data of a known kind"),
    "too_large": ("", "larger than 2 MiB"),
    "trace_id_malformed": ("trace_id", "the trace id is not 1 to 32 hex digits"),
    "span_id_malformed": ("span_id", "the span id is not 1 to 16 hex digits"),
    "not_a_span": ("", "a span must be an object, and its tags too"),
}
REPAIRS: Mapping[str, str] = {
    "end_before_start": "end_time_unix_nano lies before the start and was set to the start",
    "parent_id_length": "parent_span_id is not 8 bytes long and was taken as none",
    "trace_id_cleared": "trace_id is not 16 bytes long and was cleared",
    "span_id_cleared": "span_id is not 8 bytes long and was cleared",
    "observed_time": "no usable time: the time of arrival was taken",
    "attributes": "attributes above the limits were left out and counted as dropped",
    "text": "text that is not UTF-8 was repaired",
    "events": "events or links above the limits were left out and counted as dropped",
    "start_derived": "no timestamp: the first annotation's was taken",
    "parent_id_malformed": "the parent id is not 1 to 16 hex digits and was taken as none",
    "event_time": "an event without a usable time was put at the start of its span",
    "link_invalid": "a reference without valid ids was left out",
}


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """
    One decoded request.

    `message` is the canonical protobuf request of the accepted items; a large request goes on in
    `others`, messages of the same type. `errors` holds one entry per kind of fault, with the index
    of its first item; `rejected_by` counts items per fault code, `ignored_by` entries that are no
    request of an API per kind of reason, `without_id` accepted records under a derived id.
    `repaired` counts strings that were not UTF-8, `warnings` tells the sender what was changed in
    accepted items. `is_timeless` says that an item got its time of arrival: equal bytes are then
    not one and the same event. `resources` counts the resources of OTLP, 0 where items have none.
    `records` are messages of gateway records that the items tell of, beside the items themselves.
    """

    message: bytes
    accepted: int
    rejected: int = 0
    errors: tuple[RecordError, ...] = ()
    repaired: int = 0
    warnings: tuple[str, ...] = ()
    others: tuple[bytes, ...] = ()
    rejected_by: Mapping[str, int] = field(default_factory=dict)
    is_timeless: bool = False
    ignored_by: Mapping[str, int] = field(default_factory=dict)
    without_id: int = 0
    resources: int = 0
    records: tuple[bytes, ...] = ()

    @property
    def ignored(self) -> int:
        """Return how many entries are no request of an API."""
        return sum(self.ignored_by.values())

    @property
    def messages(self) -> tuple[bytes, ...]:
        """Return the messages to journal; none when nothing was accepted."""
        return (self.message, *self.others) if self.accepted else ()


class Tally:
    """Count what happens to the items of one request, by code, each with its first index."""

    def __init__(self, noun: str) -> None:
        self.seen = 0
        self.resources = 0
        self._noun = noun
        self._rejected: dict[str, tuple[int, int]] = {}
        self._repaired: dict[str, tuple[int, int]] = {}

    def reject(self, code: str, index: int) -> None:
        count, first = self._rejected.get(code, (0, index))
        self._rejected[code] = (count + 1, first)

    def repair(self, code: str, index: int, count: int = 1) -> None:
        already, first = self._repaired.get(code, (0, index))
        self._repaired[code] = (already + count, first)

    def finish(self, messages: list[bytes]) -> DecodeResult:
        """Return the outcome, with *messages* as what is kept."""
        rejected = sum(count for count, _ in self._rejected.values())
        return DecodeResult(
            message=messages[0] if messages else b"",
            others=tuple(messages[1:]),
            accepted=self.seen - rejected,
            rejected=rejected,
            errors=tuple(self._error(code) for code in self._rejected),
            repaired=self._repaired.get("text", (0, 0))[0],
            warnings=tuple(self._warning(code) for code in self._repaired),
            rejected_by={code: count for code, (count, _) in self._rejected.items()},
            is_timeless="observed_time" in self._repaired,
            resources=self.resources,
        )

    def _error(self, code: str) -> RecordError:
        count, first = self._rejected[code]
        name, text = FAULTS[code]
        reason = f"{count} of {self.seen} {self._noun} rejected, first at index {first}: {text}"
        return RecordError(index=first, reason=reason, field=name, code=code)

    def _warning(self, code: str) -> str:
        count, first = self._repaired[code]
        return f"{count} repaired in {self._noun}, first at index {first}: {REPAIRS[code]}"
