"""
Masks secrets in canonical messages and gateway records before they reach the disk.

One search over the serialized bytes says whether there is anything to mask. Only then is the
message taken apart, and only the resources, scopes and items with a match in them are rewritten.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_type_hints

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collector.decode.protobuf.drop_unknown import drop_unknown_fields
from collector.decode.protobuf.split import read_fields, write_field
from collector.decode.records.codec import decode_records, encode_records
from collector.decode.redaction.findings import Findings
from collector.decode.redaction.secrets import PAIR_VALUES, Secrets
from collector.decode.redaction.texts import is_plain
from collector.errors import Undecodable
from collector.model import GatewayRecord, Stream

_ITEMS: Mapping[Stream, type[Any]] = {
    Stream.TRACE: Span,
    Stream.LOG: LogRecord,
    Stream.METRIC: Metric,
}
# ids join records with spans: a number among them that looks like a card is not one
_UNTOUCHED = frozenset(
    (
        "gateway",
        "record_id",
        "ids",
        "trace_id",
        "trace_id_source",
        "parent_span_id",
        "outgoing_span_id",
        "quality",
        "attributes",
        "raw",
    )
)
_NESTED = ("kvlist_value", "array_value")
_NUMBERS = ("int_value", "double_value")
_TEXT_FIELDS = tuple(
    name
    for name, kind in get_type_hints(GatewayRecord).items()
    if kind is str and name not in _UNTOUCHED
)


class Redactor:
    """
    Mask what `Secrets` finds. Keys stay; values become `[REDACTED]`, with a salt a keyed hash.

    Measured where nothing is found: 1.5 us/span in requests of 500, 1.9 in requests of 20.
    """

    def __init__(self, secrets: Secrets | None = None, salt: bytes = b"") -> None:
        self._secrets = secrets or Secrets()
        self._salt = salt

    def redact_message(
        self, stream: Stream, message: bytes, tenant: str = ""
    ) -> tuple[bytes, Counter[str]]:
        """Return the message without secrets and how many values were masked, by kind."""
        if not self._secrets.signs.search(message):
            return message, Counter()
        if stream is Stream.RECORD:
            if not self._secrets.in_records.search(message):
                return message, Counter()
            records, found = self.redact_records(decode_records(message), tenant)
            return encode_records(records), found
        if not self._secrets.in_otlp.search(message):
            return message, Counter()
        try:
            return self._rewrite(stream, message, tenant)
        except Undecodable:
            # a group: OTLP has none, so that it belongs to a field nobody knows
            return self._rewrite(stream, drop_unknown_fields(stream, message)[0], tenant)

    def _rewrite(self, stream: Stream, message: bytes, tenant: str) -> tuple[bytes, Counter[str]]:
        return _Rewriter(self._secrets, stream, message, Findings(self._salt, tenant)).rewrite()

    def redact_records(
        self, records: Sequence[GatewayRecord], tenant: str = ""
    ) -> tuple[list[GatewayRecord], Counter[str]]:
        """Return the records without secrets and how many values were masked, by kind."""
        found = Findings(self._salt, tenant)
        return [self._redact_record(record, found) for record in records], found.counts

    def redact_text(self, text: str) -> str:
        """Return any text without secrets."""
        return self._secrets.mask_text(text, Findings(self._salt))

    def _redact_record(self, record: GatewayRecord, found: Findings) -> GatewayRecord:
        secrets, before = self._secrets, found.counts.total()
        changed: dict[str, Any] = {
            name: secrets.mask_text(getattr(record, name), found, name) for name in _TEXT_FIELDS
        }
        changed["attributes"] = {
            secrets.mask_text(key, found): self._mask_pair(key, value, found)
            for key, value in record.attributes.items()
        }
        changed["raw"] = secrets.mask_text(record.raw, found)
        return replace(record, **changed) if found.counts.total() > before else record

    def _mask_pair(self, key: str, value: str, found: Findings) -> str:
        secrets = self._secrets
        if not secrets.is_secret_key(key) or (secrets.names.is_short(key) and is_plain(value)):
            return secrets.mask_text(value, found, key)
        if value.isdigit() and len(value) < 6 and not secrets.names.is_numeric(key):
            return value
        return secrets.mask_value(value, found)


class _Rewriter:
    """One message with matches, rewritten group by group."""

    def __init__(self, secrets: Secrets, stream: Stream, message: bytes, found: Findings) -> None:
        self._secrets = secrets
        self._item = _ITEMS[stream]
        self._message = message
        self._found = found
        matches = [match.span() for match in secrets.in_otlp.finditer(message)]
        self._starts = [start for start, _ in matches]
        self._ends = [end for _, end in matches]

    def rewrite(self) -> tuple[bytes, Counter[str]]:
        whole = self._rebuild(0, len(self._message), {1: self._rewrite_group})
        return whole, self._found.counts

    def _rewrite_group(self, at: int, end: int) -> bytes:
        return self._rebuild(
            at, end, {1: lambda at, end: self._mask(Resource, at, end), 2: self._rewrite_scope}
        )

    def _rewrite_scope(self, at: int, end: int) -> bytes:
        return self._rebuild(
            at,
            end,
            {
                1: lambda at, end: self._mask(InstrumentationScope, at, end),
                2: lambda at, end: self._mask(self._item, at, end),
            },
        )

    def _rebuild(
        self, at: int, end: int, parts: Mapping[int, Callable[[int, int], bytes]]
    ) -> bytes:
        """Copy field by field; the fields of *parts* with a match go through their function."""
        out: list[bytes] = []
        for number, wire_type, start, value_at, stop in read_fields(self._message, at, end):
            if not self._has_match(start, stop):
                out.append(self._message[start:stop])
            elif wire_type == 2 and number in parts:
                out.append(write_field(number, parts[number](value_at, stop)))
            elif wire_type == 2:
                text = self._message[value_at:stop].decode("utf-8", "replace")
                out.append(write_field(number, self._secrets.mask_text(text, self._found).encode()))
        return b"".join(out)

    def _has_match(self, at: int, end: int) -> bool:
        first = bisect_left(self._ends, at + 1)
        return first < len(self._starts) and self._starts[first] < end

    def _mask(self, kind: type[Any], at: int, end: int) -> bytes:
        part = kind.FromString(self._message[at:end])
        # fields of a newer protocol version cannot be masked: they go
        part.DiscardUnknownFields()
        self._mask_keys(part)
        masked: bytes = part.SerializeToString()
        # most matches are keys: 14 us for such a span, against 30 with a look into every text
        if self._secrets.in_text.search(masked):
            self._mask_texts(part)
            masked = part.SerializeToString()
        return masked

    def _mask_keys(self, message: Any) -> None:
        for field, value in message.ListFields():
            if field.type != field.TYPE_MESSAGE:
                continue
            for each in value if field.is_repeated else (value,):
                if not isinstance(each, KeyValue):
                    self._mask_keys(each)
                elif self._secrets.is_secret_key(each.key):
                    self._mask_value(each.value, each.key, True)
                elif each.key.endswith("query") or each.value.WhichOneof("value") in _NESTED:
                    self._mask_value(each.value, each.key, False)

    def _mask_texts(self, message: Any) -> None:
        for field, value in message.ListFields():
            if field.type == field.TYPE_STRING and not field.is_repeated:
                masked = self._secrets.mask_text(value, self._found)
                if masked != value:
                    setattr(message, field.name, masked)
            elif field.type == field.TYPE_MESSAGE:
                for each in value if field.is_repeated else (value,):
                    if isinstance(each, KeyValue):
                        self._mask_value(each.value, each.key, False)
                        self._mask_key(each)
                    elif isinstance(each, AnyValue):
                        self._mask_value(each, "", False)
                    else:
                        self._mask_texts(each)

    def _mask_value(self, value: AnyValue, key: str, is_secret: bool) -> None:
        kind = value.WhichOneof("value")
        if kind == "string_value":
            masked = self._mask_string(value.string_value, key, is_secret)
            if masked != value.string_value:
                value.string_value = masked
        elif kind == "bytes_value":
            text = value.bytes_value.decode("utf-8", "surrogateescape")
            masked = self._mask_string(text, key, is_secret)
            if masked != text:
                value.bytes_value = masked.encode("utf-8", "surrogateescape")
        elif kind in _NUMBERS:
            if is_secret and self._secrets.names.is_numeric(key):
                value.string_value = self._found.hide("key", str(getattr(value, kind)))
        elif kind == "array_value":
            self._mask_list(value.array_value.values, key, is_secret)
        elif kind == "kvlist_value":
            self._mask_pairs(value.kvlist_value.values, is_secret)

    def _mask_list(self, values: Any, key: str, is_secret: bool) -> None:
        texts = [_plain_value(each) for each in values]
        hidden = self._secrets.find_hidden(texts)
        for index, each in enumerate(values):
            self._mask_value(each, key, is_secret or index in hidden)

    def _mask_pairs(self, pairs: Any, is_secret: bool) -> None:
        values = {pair.key: pair.value.string_value for pair in pairs}
        hidden = self._secrets.hides_pair(values)
        for pair in pairs:
            is_hidden = is_secret or (hidden and pair.key.lower() in PAIR_VALUES)
            is_hidden = is_hidden or self._secrets.is_secret_key(pair.key)
            self._mask_value(pair.value, pair.key, is_hidden)
            self._mask_key(pair)

    def _mask_key(self, pair: KeyValue) -> None:
        masked = self._secrets.mask_text(pair.key, self._found)
        if masked != pair.key:
            pair.key = masked

    def _mask_string(self, text: str, key: str, is_secret: bool) -> str:
        if not is_secret or (self._secrets.names.is_short(key) and is_plain(text)):
            return self._secrets.mask_text(text, self._found, key)
        return self._secrets.mask_value(text, self._found)


def _plain_value(value: AnyValue) -> str | list[Any] | None:
    """Return a text, or an empty list for a list; the rest is no name and no value of one."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    return [] if kind == "array_value" else None
