"""
What shippers, container runtimes and clouds put around a gateway's records, taken off.

In: entries of a body (`bodies.split_body`). Out: the adapter's own rows and lines, whatever they
were wrapped in and however often: arrays and containers (`records`, `logEvents`, query answers with
columns and rows), objects with the line in one of their members (`log`, `message`, `LogMessage`),
headers before a line (syslog, CRI, timestamps), JSON as text, base64 and gzip.

The adapter says what is its own, and that is left as it is: a record that has a member called
`message` is not mistaken for an envelope. Lines that a container runtime cut are joined again.

Source: CRI logging format (kubelet), Docker json-file and fluentd drivers; Fluent Bit, Fluentd,
Vector, Logstash and Elastic Common Schema documents; RFC 3164, RFC 5424; Grafana Loki push API;
Splunk HTTP Event Collector; Datadog logs API; Google Cloud LogEntry; Amazon Data Firehose and
CloudWatch Logs (subscription filters, FilterLogEvents, Insights); Azure Monitor (ContainerLogV2,
query API answers, resource logs schema), Event Hubs capture; CloudEvents 1.0 in JSON;
OpenTelemetry logs in JSON.
"""

import base64
import binascii
import contextlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from collector.decode.bodies import split_body
from collector.decode.fields import Row, is_missing
from collector.decode.unescaped import load_unescaped
from collector.errors import TooLarge, Undecodable
from collector.model import RecordError

_MOST_BYTES = 256 * 1024 * 1024
"""Records inside a delivery may be compressed once more: together they inflate to this at most."""

# Three shippers in a row, each with four levels of its own, are less.
_DEEPEST = 16
_LEAST_TIME = 10**9
_GZIP = b"\x1f\x8b"
# A runtime cuts lines at 16 KiB; a record of more pieces than this is none.
_MOST_PIECES = 256
_MOST_PENDING = 1024
_LONGEST_HEADER = 512
_LONGEST_MESSAGE = 65_536
_MOST_HEADERS = 9

# Members that hold a list of entries, whatever else stands beside them.
_LISTS = ("records", "Records", "logEvents", "events", "entries", "value", "logs", "items")
# Members that hold one entry, as an object or as text; of several, the first that is understood.
_PAYLOADS = (
    "log_processed",
    "LogMessage",
    "jsonPayload",
    "json",
    "log",
    "message",
    "MESSAGE",
    "@message",
    "textPayload",
    "LogEntry",
    "msg",
    "line",
    "event",
    "event.original",
    "log.original",
    "original",
    "_raw",
    "_source",
    "body",
    "Body",
    "ContentData",
    "data",
    "data_base64",
    "payload",
    "result",
    "Message",
    "SyslogMessage",
    "ResultDescription",
    "short_message",
    "full_message",
    "Log",
    "Log_s",
    "LogMessage_s",
)
# As objects these tell about the entry and are none: Elastic Common Schema has `log` and `event`.
_ALSO_ABOUT = frozenset(("log", "event", "data", "result", "body", "payload"))
# Members whose text may be base64: of Kinesis, Pub/Sub, CloudEvents and captured events,
# and of the Event Hubs trigger of Logic Apps.
_ENCODED = frozenset(("data", "Data", "data_base64", "body", "Body", "ContentData"))
_BASE64 = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}")
_RANKS = {name: rank for rank, name in enumerate(_PAYLOADS)}
_PODS = ("PodName", "pod_name", "pod", "k8s.pod.name", "kubernetes.pod_name", "kubernetes.pod.name")
# Members that say when the line in an envelope was written.
_TIMES = ("time", "@timestamp", "timestamp", "date", "ts", "eventTime", "TimeGenerated")
_CRI = re.compile(r"\d{4}-\d\d-\d\dT\S{1,40} (stdout|stderr) ([FP])(?::\S{1,20})? ", re.ASCII)
_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_ISO_TIME = re.compile(_ISO, re.ASCII)
_HEADERS = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        # RFC 5424, its structured data with escaped brackets
        r"<\d{1,3}>1 \S{1,40} \S{1,255} \S{1,48} \S{1,128} \S{1,32} "
        r'(?:-|(?:\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])+) ?(?:\ufeff)?',
        # RFC 3164, and what syslog daemons write to their files
        rf"(?:<\d{{1,3}}>)?(?:[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d|{_ISO}) "
        r"(?!<|\d{4}-)\S{1,255} (?!\d{4}-)[^\s:\[\"]{1,64}(?:\[\d{1,10}\])?: ?",
        r"<\d{1,3}>",
        # kubectl logs --prefix, docker compose logs
        r"\[pod/\S{1,255}\] ",
        r"\S{1,128} +\| ",
        # kubectl logs --timestamps, aws logs tail, exports of CloudWatch
        rf"{_ISO}[ \t]+",
        # what else may stand before a line: a stream's name, a tag
        r"[^\s\"'{}\[]{1,128}:? +",
    )
)


@dataclass(frozen=True, slots=True)
class Opened:
    """One entry out of its envelopes: an object, a text line, or why nothing could be read."""

    value: Any
    instance: str = ""


class Unwrapper:
    """
    Opens the entries of one body, in their order.

    `time` is what the innermost envelope of the entry yielded last says of when it was written, as
    it stands there; `None` when none does. *is_row* and *is_line* tell what the adapter reads
    itself, *is_whole* which other objects are no envelope although they have a text in them. Lines
    that were cut wait for their rest: call `finish` at the end.
    """

    def __init__(
        self,
        is_row: Callable[[Row], bool],
        is_line: Callable[[str], bool],
        is_whole: Callable[[Row], bool],
    ) -> None:
        self._is_row = is_row
        self._is_line = is_line
        self._is_whole = is_whole
        self._bytes_left = _MOST_BYTES
        self._pieces: dict[tuple[str, str], list[str]] = {}
        self.is_repaired = False
        self.time: object = None

    def open(self, entry: Any, instance: str = "", depth: int = 0) -> Iterator[Opened]:
        """
        Yield what *entry* holds; itself, when nothing is known to be around it.

        Raises:
            TooLarge: what is compressed inside is too large. Never retried.
        """
        if depth > _DEEPEST:
            yield Opened(_refusal(f"lies in more than {_DEEPEST} envelopes"))
        elif entry.__class__ is str:
            outer = self.time
            self.time = _leading_time(entry) or outer
            yield from self._open_text(entry, instance, depth)
            self.time = outer
        elif entry.__class__ is dict:
            outer = self.time
            self.time = next((entry[name] for name in _TIMES if name in entry), outer)
            yield from self._open_object(entry, instance, depth)
            self.time = outer
        elif entry.__class__ is list:
            for each in without_tags(entry):
                yield from self.open(each, instance, depth + 1)
        else:
            yield Opened(entry, instance)

    def finish(self) -> Iterator[Opened]:
        """Yield what waited for a rest that did not come."""
        for key in list(self._pieces):
            yield from self._give_up(key)

    def _open_object(self, row: Row, instance: str, depth: int) -> Iterator[Opened]:
        if self._is_row(row):
            yield Opened(row, instance)
            return
        if _is_action(row):
            return
        if _KNOWN.isdisjoint(row):
            found = self._search(row, depth)
            if found is None:
                yield Opened(row, instance)
            else:
                yield from self.open(found, instance, depth + 1)
            return
        instance = _pod_of(row) or instance
        row = _with_text(row)
        if _is_delivery(row):
            yield from self._open_delivery(row, instance, depth)
            return
        inner = _contained(row)
        if inner is not None:
            for each in without_tags(inner):
                yield from self.open(each, instance, depth + 1)
            return
        found = None if _is_partial(row) else self._search(row, depth)
        payload = _payload_of(row) if found is None else found
        if payload is None:
            if not _is_blank(row):
                yield Opened(row, instance)
        elif found is None and payload.__class__ is str:
            if self._is_whole(row):
                yield Opened(row, instance)
            else:
                yield from self._open_piece(payload, row, instance, depth)
        else:
            yield from self.open(payload, instance, depth + 1)

    def _search(self, row: Row, depth: int) -> Any:
        """Return the member of *row* in which something is the adapter's own, or `None`."""
        if depth > _DEEPEST:
            return None
        for name in (*_payloads_in(row), *row):
            value = row[name]
            if value.__class__ is str:
                text = self._decoded(name, value)
                inside = self._inside(text) if name in _RANKS else _parse(text)
                if inside.__class__ is str:
                    return text
                value = inside
            if self._holds_own(value, depth + 1):
                return value
        return None

    def _holds_own(self, value: Any, depth: int) -> bool:
        if depth > _DEEPEST:
            return False
        if value.__class__ is dict:
            if self._is_row(value):
                return True
            inner = _contained(value)
            if inner is None:
                return self._search(value, depth) is not None
            value = inner
        # the first tells: a list holds entries of one kind
        first = without_tags(value)[:1] if value.__class__ is list else ()
        return bool(first) and self._holds_own(first[0], depth + 1)

    def _open_text(self, text: str, instance: str, depth: int) -> Iterator[Opened]:
        """Open a line: the adapter's own, JSON, or either of them behind a header."""
        text = text.strip()
        if self._is_line(text):
            yield Opened(text, instance)
        elif cut := _CRI.match(text):
            # P says that the runtime cut the line and writes the rest as the next one
            key, is_last = (instance, cut[1]), cut[2] == "F"
            yield from self._join(text[cut.end() :], key, depth, is_last=is_last)
        elif (inside := self._inside(text)) is not None:
            if inside.__class__ is str:
                yield Opened(inside, instance)
            else:
                yield from self.open(inside, instance, depth + 1)
        elif text.startswith("{"):
            yield from self._open_bytes(text.encode(), "", instance, depth)
        elif "\n" in text:
            for line in filter(None, map(str.strip, text.split("\n"))):
                yield from self.open(line, instance, depth + 1)
        else:
            yield Opened(text, instance)

    def _inside(self, text: str) -> Any:
        """Return the line or the JSON in *text* behind any headers, `None` when there is none."""
        for shorter in without_headers(text):
            if self._is_line(shorter):
                return shorter
            if (value := _parse(shorter)) is not None:
                return value
        return None

    def _open_piece(self, text: str, row: Row, instance: str, depth: int) -> Iterator[Opened]:
        """Open the line in an envelope, which may be a piece of a longer one."""
        key = (instance, str(row.get("stream") or row.get("source") or ""))
        is_last = not _is_partial(row)
        if is_last and not _is_rest(row) and not text.endswith("\n"):
            # Docker's log has no other sign: a line is whole when it ends as one
            is_last = key not in self._pieces and not _is_cut(text)
        yield from self._join(text, key, depth, is_last=is_last)

    def _join(
        self, text: str, key: tuple[str, str], depth: int, *, is_last: bool
    ) -> Iterator[Opened]:
        """Add a piece to what waits under *key*; open the whole when it is complete."""
        if key in self._pieces and (_parse(text) is not None or self._is_line(text)):
            # a record of its own: the rest of what waits was lost
            yield from self._give_up(key)
        if key not in self._pieces and (is_last or len(self._pieces) >= _MOST_PENDING):
            yield from self.open(text, key[0], depth + 1)
            return
        pieces = self._pieces.setdefault(key, [])
        pieces.append(text)
        whole = "".join(pieces) if is_last or text.rstrip().endswith("}") else ""
        if is_last or (whole and _parse(whole) is not None):
            del self._pieces[key]
            yield from self.open(whole, key[0], depth + 1)
        elif len(pieces) >= _MOST_PIECES:
            yield from self._give_up(key)

    def _give_up(self, key: tuple[str, str]) -> Iterator[Opened]:
        whole = "".join(self._pieces.pop(key))
        broken = _refusal("holds a line that is no JSON: its rest is missing")
        yield Opened(broken if whole.startswith("{") else whole, key[0])

    def _open_delivery(self, row: Row, instance: str, depth: int) -> Iterator[Opened]:
        """Open what Firehose delivers, or CloudWatch to a function: base64, often compressed."""
        if isinstance(row.get("awslogs"), dict):
            yield from self._open_data(row["awslogs"].get("data"), "awslogs.data", instance, depth)
            return
        for number, record in enumerate(row["records"]):
            data = record.get("data") if isinstance(record, dict) else None
            yield from self._open_data(data, f"records[{number}].data", instance, depth)

    def _open_data(self, data: object, where: str, instance: str, depth: int) -> Iterator[Opened]:
        try:
            if not isinstance(data, str):
                raise ValueError("expected base64 text")
            content = base64.b64decode(data, validate=True)
            if content.startswith(_GZIP):
                content = self._inflate(content)
        except (ValueError, binascii.Error, zlib.error) as exc:
            yield Opened(RecordError(-1, f"{where}: {exc}", where))
        else:
            yield from self._open_bytes(content, where, instance, depth)

    def _open_bytes(
        self, content: bytes, where: str, instance: str, depth: int
    ) -> Iterator[Opened]:
        try:
            bodies = split_body(content)
        except Undecodable as exc:
            reason = f"{where}: {exc}" if where else str(exc)
            yield Opened(RecordError(-1, reason, where))
            return
        self.is_repaired |= bodies.is_repaired
        for each in without_tags(bodies.entries):
            yield from self.open(each, instance, depth + 1)

    def _decoded(self, name: str, text: str) -> str:
        """Return what base64 text in the member *name* stands for, any other text as it is."""
        if name not in _ENCODED or len(text) % 4 or not _BASE64.fullmatch(text):
            return text
        with contextlib.suppress(ValueError, zlib.error):
            content = base64.b64decode(text, validate=True)
            return (self._inflate(content) if content.startswith(_GZIP) else content).decode()
        return text

    def _inflate(self, data: bytes) -> bytes:
        decompressor = zlib.decompressobj(wbits=31)
        inflated = decompressor.decompress(data, self._bytes_left + 1)
        self._bytes_left -= len(inflated)
        if self._bytes_left < 0:
            raise TooLarge(f"the records decompress to more than {_MOST_BYTES:,} bytes")
        if not decompressor.eof:
            raise ValueError("the gzip data is truncated")
        return inflated


def _leading_time(text: str) -> str:
    """Return the moment that container runtimes and `kubectl --timestamps` write before a line."""
    found = _ISO_TIME.match(text)
    return found[0] if found else ""


def _parse(text: str) -> Any:
    """Return the JSON object or array that *text* is, or ends with; `None` when there is none."""
    text = text.strip()
    for _ in range(3):  # JSON text in JSON text
        if text[:1] != '"':
            break
        value = _parse_json(text)
        if value.__class__ is not str:
            return None
        text = value.strip()
    if text[:1] == "[" and text[-1:] == "]":
        value = _parse_json(text)
        return value if value.__class__ is list else None
    start = 0 if text[:1] == "{" else text.find("{", 0, _LONGEST_HEADER)
    if start < 0 or text[-1:] != "}":
        return None
    value = _parse_json(text[start:])
    if value is None and start == 0:
        value = load_unescaped(text)
    return value if value.__class__ is dict else None


def _parse_json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _is_cut(text: str) -> bool:
    """Tell whether *text* is the beginning of an object, and neither one nor several."""
    text = text.strip()
    return text.startswith("{") and "\n" not in text and not text.endswith("}")


def without_headers(text: str) -> Iterator[str]:
    """Yield *text*, and what is left of it as headers before a line are cut off one by one."""
    text = text.strip()
    yield text
    for _ in range(_MOST_HEADERS):
        if text.startswith("{"):
            return
        cut = next(filter(None, (header.match(text) for header in _HEADERS)), None)
        if cut is None:
            return
        text = text[cut.end() :]
        yield text


def _contained(row: Row) -> Sequence[Any] | None:
    """Return the entries of a container of many, or `None`."""
    if row.get("messageType") == "CONTROL_MESSAGE":
        return ()
    for name, open_list in _SPECIAL.items():
        value = row.get(name)
        if value.__class__ is list and value and value[0].__class__ in (dict, list):
            return list(open_list(value))
    return next((row[name] for name in _LISTS if row.get(name).__class__ is list), None)


def _open_tables(tables: Sequence[Any]) -> Iterator[Any]:
    """Columns and rows of a query's answer: Log Analytics, and Kusto's first version."""
    for table in _objects(tables):
        columns = _objects(table.get("columns") or table.get("Columns"))
        names = [column.get("name") or column.get("ColumnName") for column in columns]
        for values in _items(table.get("rows") or table.get("Rows")):
            pairs = zip(names, _items(values), strict=False)
            yield {name: value for name, value in pairs if isinstance(name, str)}


def _open_streams(streams: Sequence[Any]) -> Iterator[Any]:
    """Lines under their labels: Loki's push API, and its answer to a query."""
    for stream in _objects(streams):
        if "values" not in stream:
            yield stream
            continue
        labels = stream.get("stream")
        pod = _pod_of(labels) if isinstance(labels, dict) else ""
        for value in _items(stream["values"]):
            if isinstance(value, list) and len(value) > 1:
                yield {"line": value[1], "pod": pod}


def _open_results(results: Sequence[Any]) -> Iterator[Any]:
    """Rows of CloudWatch Logs Insights: lists of field and value."""
    for fields in results:
        if not isinstance(fields, list):
            yield fields
            continue
        pairs = ((each.get("field"), each.get("value")) for each in _objects(fields))
        yield {name: value for name, value in pairs if isinstance(name, str)}


def _open_otlp(resources: Sequence[Any]) -> Iterator[Any]:
    """Log records of OpenTelemetry in JSON, as its file exporter writes them."""
    for resource in _objects(resources):
        about = resource.get("resource")
        attributes = about.get("attributes") if isinstance(about, dict) else None
        pod = _pod_of(_otlp_value({"kvlistValue": {"values": attributes}}))
        for scope in _objects(resource.get("scopeLogs")):
            for log in _objects(scope.get("logRecords")):
                about = _otlp_value({"kvlistValue": {"values": log.get("attributes")}})
                yield {"body": _otlp_value(log.get("body")), "attributes": about, "pod": pod}


def _otlp_value(value: Any) -> Any:
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((kind, content),) = value.items()
    inner = content.get("values") if isinstance(content, dict) else None
    if kind == "kvlistValue":
        pairs = ((each.get("key"), each.get("value")) for each in _objects(inner))
        return {name: _otlp_value(each) for name, each in pairs if isinstance(name, str)}
    if kind == "arrayValue":
        return [_otlp_value(each) for each in _items(inner)]
    return content


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _objects(value: Any) -> Iterator[Row]:
    return (each for each in _items(value) if isinstance(each, dict))


_SPECIAL: Mapping[str, Callable[[Sequence[Any]], Iterable[Any]]] = {
    "tables": _open_tables,
    "Tables": _open_tables,
    "streams": _open_streams,
    "result": _open_streams,
    "results": _open_results,
    "resourceLogs": _open_otlp,
}


_KNOWN = frozenset((*_PAYLOADS, *_LISTS, *_SPECIAL, *_PODS, "awslogs", "messageType", "kubernetes"))


def _is_action(row: Row) -> bool:
    """Tell whether *row* only says what Elasticsearch is to do with the next one."""
    if len(row) != 1:
        return False
    about = row.get("index", row.get("create"))
    return about.__class__ is dict and all(name[:1] == "_" for name in about)


def _with_text(row: Row) -> Row:
    """Return *row* with its message as text: journald exports one that has escapes as numbers."""
    message = row.get("MESSAGE")
    if message.__class__ is not list or len(message) > _LONGEST_MESSAGE:
        return row
    try:
        return {**row, "MESSAGE": bytes(message).decode(errors="replace")}
    except (TypeError, ValueError):
        return row


def _is_delivery(row: Row) -> bool:
    if isinstance(row.get("awslogs"), dict):
        return True
    records = row.get("records")
    return "requestId" in row and isinstance(records, list)


def without_tags(entries: Sequence[Any]) -> Sequence[Any]:
    """Return *entries* without what stands beside the record in Fluentd's `[tag, time, record]`."""
    if entries.__class__ is not list or not 2 <= len(entries) <= 4:
        return entries
    if entries[0].__class__ is str and entries[1].__class__ is list:
        # [tag, [[time, record], …]]
        return entries[1] if all(each.__class__ is list for each in entries[1]) else entries
    time = entries[1] if entries[0].__class__ is str else entries[0]
    if time.__class__ in (int, float) and time > _LEAST_TIME:
        return [each for each in entries if each.__class__ is dict][:1] or entries
    return entries


def may_hold_entries(row: Row) -> bool:
    """Tell whether one of the members of *row* may hold an entry."""
    return not _RANKS.keys().isdisjoint(row)


def _payload_of(row: Row) -> Any:
    """Return the first member of *row* that may hold an entry, or `None`."""
    for name in _payloads_in(row):
        value = row[name]
        if (value.__class__ is str and not is_missing(value.strip())) or (
            value.__class__ is dict and value and name not in _ALSO_ABOUT
        ):
            return value
    return None


def _is_blank(row: Row) -> bool:
    """Tell whether *row* holds an empty line: containers write such, and they are nothing."""
    # an access log may have an empty `msg` beside all that it says
    names = [name for name in _payloads_in(row) if name != "msg"]
    texts = [row[name] for name in names if row[name].__class__ is str]
    return bool(texts) and not any(map(str.strip, texts))


def _payloads_in(row: Row) -> list[str]:
    """Return the members of *row* that may hold an entry, the likeliest first."""
    names = [name for name in row if name in _RANKS]
    return sorted(names, key=_RANKS.__getitem__) if len(names) > 1 else names


def _pod_of(row: Row) -> str:
    """Return the pod that a shipper says a line comes from, "" when it says none."""
    for name in _PODS:
        if (pod := row.get(name)).__class__ is str:
            return str(pod)
    for name in ("kubernetes", "resource", "labels", "k8s"):
        inner = row.get(name)
        if inner.__class__ is not dict:
            continue
        pod = inner.get("pod_name") or inner.get("pod")
        if pod.__class__ is dict:
            pod = pod.get("name")
        if pod is None and name == "resource" and inner.get("labels").__class__ is dict:
            pod = inner["labels"].get("pod_name")
        if pod.__class__ is str:
            return str(pod)
    return ""


def _is_partial(row: Row) -> bool:
    """Tell whether a shipper says that more of this line follows."""
    if row.get("logtag") == "P" or row.get("_p") == "P":
        return True
    if str(row.get("partial_message", "")).lower() == "true":
        return str(row.get("partial_last", "")).lower() != "true"
    return False


def _is_rest(row: Row) -> bool:
    """Tell whether a shipper says that a line ends here."""
    return row.get("logtag") == "F" or row.get("_p") == "F" or "partial_last" in row


def _refusal(reason: str) -> RecordError:
    return RecordError(-1, reason)
