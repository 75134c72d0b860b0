"""
Entries into records: what an adapter says of its format, and the loop that reads with it.

In: the bytes of one push, or rows that a poller has. Out: `Decoded`. One bad entry costs itself
only and is listed by its place among the entries of the body, as they come out of their envelopes.

Read first: `Reader`, then `read_body`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.decode.bodies import Bodies, split_body
from collector.decode.envelopes import Unwrapper, may_hold_entries, without_tags
from collector.decode.fields import FieldError, NotARequest, Row, describe, parse_timestamp
from collector.decode.pairs import parse_logfmt, parse_ltsv
from collector.decode.probes import is_probe
from collector.decode.program_logs import is_program_line, is_program_row
from collector.decode.quality import DATE_ORDER_ASSUMED, SECOND_GRANULARITY
from collector.decode.tables import has_open_dates, split_table
from collector.decode.urls import without_default_port
from collector.errors import Undecodable
from collector.model import Decoded, GatewayRecord, RecordError
from collector.timestamps import NS_PER_S

# 60 MB can hold 20 million empty objects: minutes of work and 2 GB for nothing. Real batches are of
# some thousand records; 100,000 take five seconds.
_MAX_ENTRIES = 100_000
_REPLACEMENT = "\ufffd"
_MOST_KEPT = 20
# a sentence may have an equals sign
_LEAST_PAIRS = 3
_PROGRAM = "a log line of the program itself, not a request"


def _no_line(line: str) -> bool:
    return False


def _as_they_are(records: list[GatewayRecord]) -> Sequence[GatewayRecord]:
    return records


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """
    What is a product's own among the entries of a log, and how it is read.

    `is_row` and `is_line` tell, from its keys or its beginning alone, whether an object or a text
    line is the product's, also when it cannot be read; what is not is taken for an envelope around
    it. `read_row` and `read_line` return the record, or raise `FieldError` (it is refused) or
    `NotARequest` (it is passed over, and counted). `finish` gets all records of a body at the end.
    `is_json`: the product has text lines only beside its JSON, so a body of neither is damaged.
    """

    is_row: Callable[[Row], bool]
    read_row: Callable[[Row], GatewayRecord]
    is_line: Callable[[str], bool] = _no_line
    read_line: Callable[[str], GatewayRecord] | None = None
    finish: Callable[[list[GatewayRecord]], Sequence[GatewayRecord]] = _as_they_are
    is_json: bool = False


@dataclass(slots=True)
class Reading:
    """
    What was read so far.

    `refused` are the first entries that were rejected, with the place of their error, `passed` the
    first entry for each reason to ignore one: another adapter may know them.
    """

    reader: Reader
    records: list[GatewayRecord] = field(default_factory=list)
    rejected: list[RecordError] = field(default_factory=list)
    ignored: list[RecordError] = field(default_factory=list)
    refused: list[tuple[int, Any]] = field(default_factory=list)
    passed: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    repaired: int = 0

    def take(self, entry: Any, instance: str = "", time: object = None) -> None:
        """
        Read one entry that is out of its envelopes; *time* is when they say it was written.

        Raises:
            Undecodable: there are more than one body may hold. Never retried.
        """
        index = self.seen
        if index == _MAX_ENTRIES:
            raise Undecodable(
                f"the body has more than {_MAX_ENTRIES:,} entries: send fewer at a time"
            )
        self.seen = index + 1
        try:
            if entry.__class__ is dict:
                record = self.reader.read_row(entry)
            elif entry.__class__ is RecordError:
                self.rejected.append(RecordError(index, entry.reason, entry.field, entry.code))
                return
            elif entry.__class__ is str:
                record = self._read_text(entry)
            else:
                raise FieldError("", f"expected an object, got {describe(entry)}")
        except NotARequest as exc:
            self.ignored.append(RecordError(index, exc.reason, code=exc.code))
            if exc.reason not in self.passed and len(self.passed) < _MOST_KEPT:
                self.passed[exc.reason] = entry
            return
        except FieldError as exc:
            if self._is_of_a_program(entry):
                self.ignored.append(RecordError(index, _PROGRAM, code="event"))
                return
            if len(self.refused) < _MOST_KEPT:
                self.refused.append((len(self.rejected), entry))
            self.rejected.append(RecordError(index, str(exc), exc.field))
            return
        if instance and not record.instance:
            record.instance = instance
        if not record.start_ns and time is not None:
            _take_time(record, time)
        if record.host:
            record.host = without_default_port(record.host, record.scheme)
        record.is_probe = is_probe(record)
        self.records.append(record)

    def _read_text(self, line: str) -> GatewayRecord:
        """Read a line in the product's own text format, else one of names and values."""
        reader = self.reader
        refusal = FieldError("", f"expected an object, got {describe(line)}")
        if reader.read_line is not None:
            try:
                return reader.read_line(line)
            except FieldError as exc:
                if reader.is_line(line):
                    raise
                refusal = exc
        pairs = parse_ltsv(line) or parse_logfmt(line)
        if len(pairs) >= _LEAST_PAIRS and reader.is_row(pairs) and not is_program_line(line):
            return reader.read_row(pairs)
        raise refusal

    def _is_of_a_program(self, entry: Any) -> bool:
        if entry.__class__ is dict:
            return not self.reader.is_row(entry) and is_program_row(entry)
        return entry.__class__ is str and not self.reader.is_line(entry) and is_program_line(entry)

    def decoded(self) -> Decoded:
        """Return the outcome."""
        records = self.reader.finish(self.records)
        return Decoded(records, self.rejected, self.repaired, self.ignored)


def read_body(reader: Reader, body: bytes) -> Reading:
    """
    Read what *body* holds, in its order, whatever it is wrapped in.

    Raises:
        Undecodable: nothing in the body can be read. Never retried.
        TooLarge: what is compressed inside is too large. Never retried.
    """
    unwrapper = Unwrapper(reader.is_row, reader.is_line, is_program_row)
    reading = Reading(reader)
    rows = split_table(body, lambda row: reader.is_row(row) or may_hold_entries(row))
    bodies = split_body(body) if rows is None else Bodies(rows)
    for entry in without_tags(bodies.entries):
        if entry.__class__ is dict and reader.is_row(entry):  # nearly always
            reading.take(entry)
        else:
            for opened in unwrapper.open(entry):
                reading.take(opened.value, opened.instance, unwrapper.time)
    for opened in unwrapper.finish():
        reading.take(opened.value, opened.instance)
    if rows is not None and has_open_dates(body):
        for record in reading.records:
            record.quality = (*record.quality, DATE_ORDER_ASSUMED)
    if bodies.is_repaired or unwrapper.is_repaired:
        reading.repaired = sum(_REPLACEMENT in record.raw for record in reading.records)
    is_json = reader.read_line is None or reader.is_json
    if reading.rejected and is_json and not _has_objects(reading):
        raise Undecodable(f"the body is not JSON: {reading.rejected[0].reason}")
    return reading


def read_rows(reader: Reader, rows: Iterable[Mapping[str, Any]]) -> Decoded:
    """Read rows that lie open: columns to values, as a query's answer has them."""
    reading = Reading(reader)
    for row in rows:
        reading.take(row)
    return reading.decoded()


def _take_time(record: GatewayRecord, time: object) -> None:
    """Let a record without a time of its own end when its envelope says it was written."""
    try:
        end = parse_timestamp(time)
    except ValueError:
        return
    record.start_ns = end.ns - (record.duration_ns or 0)
    record.attributes = {**record.attributes, "reading.time": "the envelope's, taken as the end"}
    if end.resolution_ns >= NS_PER_S and SECOND_GRANULARITY not in record.quality:
        record.quality = (*record.quality, SECOND_GRANULARITY)


def _has_objects(reading: Reading) -> bool:
    """Tell whether anything in the body was an object, readable or not."""
    if reading.records or reading.ignored:
        return True
    return any(entry.__class__ is not str for _, entry in reading.refused)
