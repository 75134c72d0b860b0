"""Whatever a shipper, a runtime or a cloud puts around a record, the record comes out."""

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.decode import envelopes
from collector.decode.fields import FieldError, NotARequest, Row, read_int, write_raw
from collector.decode.reading import Reader, read_body
from collector.errors import TooLarge, Undecodable
from collector.model import Decoded, GatewayRecord

ROW = {"at": 7, "n": 41, "message": "a member, no envelope"}
LINE = 'n=41 "GET /orders"'
TEXT = json.dumps(ROW)


def _record(number: int, raw: str) -> GatewayRecord:
    return GatewayRecord(gateway="toy", record_id=str(number), start_ns=1, raw=raw)


def _read_row(row: Row) -> GatewayRecord:
    number = read_int(row, "n")
    if number is None:
        raise FieldError("n", "is missing")
    if number == 0:
        raise NotARequest("event", "an event, no request")
    return _record(number, write_raw(row))


def _read_line(line: str) -> GatewayRecord:
    if not _is_line(line):
        raise FieldError("", "expected a toy line")
    return _record(int(line[2:4]), write_raw(line))


def _is_line(line: str) -> bool:
    return line.startswith("n=")


READER = Reader(
    is_row=lambda row: "at" in row, read_row=_read_row, is_line=_is_line, read_line=_read_line
)


def _read(body: Any) -> Decoded:
    if not isinstance(body, bytes | str):
        body = json.dumps(body)
    return read_body(READER, body if isinstance(body, bytes) else body.encode()).decoded()


def _numbers(body: Any) -> list[str]:
    decoded = _read(body)
    assert not decoded.rejected, decoded.rejected
    return [record.record_id for record in decoded.records]


def _base64(content: str, *, zipped: bool = False) -> str:
    data = content.encode()
    return base64.b64encode(gzip.compress(data, mtime=0) if zipped else data).decode()


def _subscription(*messages: str) -> dict[str, Any]:
    events = [{"id": "1", "timestamp": 1, "message": each} for each in messages]
    return {"messageType": "DATA_MESSAGE", "logGroup": "g", "logEvents": events}


POD = {"pod_name": "gw-0", "namespace_name": "edge", "labels": {"app": "gw"}}
# Around an object or around text that may be JSON.
AROUND_TEXT: dict[str, Callable[[str], Any]] = {
    "fluent-bit": lambda t: {"date": 1.5, "log": t, "stream": "stdout", "kubernetes": POD},
    "logic-apps": lambda t: {"ContentData": _base64(t), "Properties": {"x-opt-offset": "7"}},
    "docker": lambda t: {"log": t + "\n", "stream": "stdout", "time": "2026-01-01T00:00:00Z"},
    "logstash": lambda t: {
        "@timestamp": "2026-01-01T00:00:00Z",
        "@version": "1",
        "host": {"name": "h"},
        "event": {"original": t},
        "message": t,
    },
    "filebeat": lambda t: {
        "@timestamp": "2026-01-01T00:00:00Z",
        "log": {"offset": 7, "file": {"path": "/var/log/x"}},
        "input": {"type": "filestream"},
        "ecs": {"version": "8.0.0"},
        "message": t,
    },
    "ecs-original": lambda t: {"event": {"original": t, "kind": "event"}, "log": {"level": "i"}},
    "dotted-original": lambda t: {"log.original": t, "log.level": "info"},
    "vector": lambda t: {"file": "/x", "host": "h", "message": t, "source_type": "file"},
    "journald": lambda t: {"MESSAGE": t, "_HOSTNAME": "h", "PRIORITY": "6"},
    "container-log": lambda t: {"LogEntry": t, "LogEntrySource": "stdout", "Computer": "c"},
    "container-log-v2": lambda t: {"LogMessage": t, "PodName": "gw-0", "LogSource": "stdout"},
    "spring-apps": lambda t: {"category": "ApplicationConsole", "properties": {"Log": t}},
    "cloud-logging": lambda t: {"textPayload": t, "resource": {"labels": {"pod_name": "gw-0"}}},
    "splunk-hec": lambda t: {"time": 1.5, "sourcetype": "x", "host": "h", "event": t},
    "splunk-export": lambda t: {"preview": False, "result": {"_raw": t, "_time": "1"}},
    "datadog": lambda t: {"message": t, "ddsource": "nginx", "ddtags": "a:b", "hostname": "h"},
    "datadog-api": lambda t: {"data": [{"id": "1", "attributes": {"message": t, "tags": []}}]},
    "cloudwatch-events": lambda t: {"events": [{"logStreamName": "a", "message": t}]},
    "cloudwatch-subscription": _subscription,
    "insights-console": lambda t: [{"@timestamp": "2026-01-01", "@message": t}],
    "insights-answer": lambda t: {
        "results": [[{"field": "@message", "value": t}, {"field": "@ptr", "value": "x"}]],
        "status": "Complete",
    },
    "loki-push": lambda t: {"streams": [{"stream": {"pod": "gw-0"}, "values": [["1", t]]}]},
    "loki-answer": lambda t: {
        "status": "success",
        "data": {"resultType": "streams", "result": [{"stream": {}, "values": [["1", t]]}]},
    },
    "loki-jsonl": lambda t: {"labels": {"pod": "gw-0"}, "line": t, "timestamp": "1"},
    "elasticsearch": lambda t: {"hits": {"hits": [{"_id": "1", "_source": {"message": t}}]}},
    "sqs": lambda t: {"Records": [{"messageId": "1", "body": t}]},
    "sns": lambda t: {"Records": [{"Sns": {"Message": t, "Subject": None}}]},
    "kinesis": lambda t: {"Records": [{"kinesis": {"data": _base64(t)}}]},
    "pub-sub": lambda t: {"message": {"data": _base64(t), "messageId": "1"}, "subscription": "s"},
    "cloud-event": lambda t: {"specversion": "1.0", "id": "1", "type": "x", "data": t},
    "cloud-event-encoded": lambda t: {"specversion": "1.0", "id": "1", "data_base64": _base64(t)},
    "event-hub-capture": lambda t: {"SequenceNumber": 1, "Offset": "2", "Body": _base64(t)},
    "event-hub-body": lambda t: {"SequenceNumber": 1, "Offset": "2", "Body": t},
    "firehose": lambda t: {"requestId": "d", "records": [{"data": _base64(t)}]},
    "firehose-zipped": lambda t: {"requestId": "d", "records": [{"data": _base64(t, zipped=True)}]},
    "lambda": lambda t: {"awslogs": {"data": _base64(json.dumps(_subscription(t)), zipped=True)}},
    "otlp": lambda t: {
        "resourceLogs": [
            {
                "resource": {
                    "attributes": [{"key": "k8s.pod.name", "value": {"stringValue": "gw-0"}}]
                },
                "scopeLogs": [{"logRecords": [{"body": {"stringValue": t}}]}],
            }
        ]
    },
    "fluentd-forward": lambda t: ["tag.gw", 1767225600, {"log": t}],
    "batch": lambda t: {"responses": [{"id": "1", "status": 200, "body": {"message": t}}]},
    "unheard-of": lambda t: {"somebody's own": {"inner": [{"message": t}]}},
}
AROUND_ROWS: dict[str, Callable[[Any], Any]] = {
    "array": lambda r: [r],
    "records": lambda r: {"records": [r]},
    "value": lambda r: {"value": [r]},
    "unheard-of": lambda r: {"items of mine": [r]},
    "message": lambda r: {"@timestamp": "2026-01-01T00:00:00Z", "message": r},
    "json": lambda r: {"input": {"type": "filestream"}, "log": {"offset": 1}, "json": r},
    "log-processed": lambda r: {"log": "as it was", "log_processed": r, "stream": "stdout"},
    "json-payload": lambda r: {"insertId": "1", "jsonPayload": r, "logName": "x"},
    "log-message": lambda r: {"LogMessage": r, "PodName": "gw-0"},
    "hec": lambda r: {"event": r, "time": 1},
    "cloud-event": lambda r: {"specversion": "1.0", "type": "x", "data": r},
    "tables": lambda r: {
        "tables": [
            {
                "name": "PrimaryResult",
                "columns": [{"name": name, "type": "string"} for name in r],
                "rows": [list(r.values())],
            }
        ]
    },
    "kusto-v1": lambda r: {
        "Tables": [{"Columns": [{"ColumnName": name} for name in r], "Rows": [list(r.values())]}]
    },
}
BEFORE_LINES = {
    "cri": "2026-01-01T00:00:00.123456789Z stdout F ",
    "syslog-5424": "<134>1 2026-01-01T00:00:00.1Z host app 17 ID47 - ",
    "syslog-5424-data": r'<134>1 2026-01-01T00:00:00Z host app - - [a@1 b="c \] d"][e@2] ',
    "syslog-3164": "<134>Jan  2 03:04:05 host gateway[17]: ",
    "syslog-file": "Jan 12 03:04:05 host gateway: ",
    "syslog-iso": "2026-01-01T00:00:00.123456+00:00 host gateway[17]: ",
    "kubectl-timestamps": "2026-01-01T00:00:00.123456789Z ",
    "kubectl-prefix": "[pod/gw-0/gateway] ",
    "compose": "gateway-1  | ",
    "aws-logs-tail": "2026-01-01T00:00:00.123000+00:00 a/stream/of/mine ",
    "fluentd": "2026-01-01 00:00:00.000000000 +0000 docker.gw: ",
    "stern": "gw-0 gateway ",
}


@pytest.mark.parametrize("content", [TEXT, LINE], ids=["json", "line"])
@pytest.mark.parametrize("name", AROUND_TEXT)
def test_text_in_an_envelope_is_found(name: str, content: str) -> None:
    """A JSON record and a text line come out of every shipper's object."""
    assert _numbers(AROUND_TEXT[name](content)) == ["41"]


@pytest.mark.parametrize("name", AROUND_ROWS)
def test_an_object_in_an_envelope_is_found(name: str) -> None:
    """A record that is an object already comes out as well."""
    assert _numbers(AROUND_ROWS[name](ROW)) == ["41"]


@pytest.mark.parametrize("content", [TEXT, LINE], ids=["json", "line"])
@pytest.mark.parametrize("name", BEFORE_LINES)
def test_a_header_before_a_line_is_cut_off(name: str, content: str) -> None:
    """Syslog's, a runtime's and a tool's prefixes do not hide the line."""
    assert _numbers(BEFORE_LINES[name] + content) == ["41"]
    assert _numbers({"message": BEFORE_LINES[name] + content}) == ["41"]


@given(
    st.lists(
        st.sampled_from([*AROUND_TEXT.values(), *(h.__add__ for h in BEFORE_LINES.values())]),
        max_size=3,
    ),
    st.sampled_from([TEXT, LINE]),
)
def test_envelopes_lie_in_envelopes(around: list[Callable[[str], Any]], content: str) -> None:
    """CRI around Docker around JSON, and any other stack of three, gives the record."""
    for wrap in around:
        wrapped = wrap(content)
        content = wrapped if isinstance(wrapped, str) else json.dumps(wrapped)
    assert _numbers(content) == ["41"]


@pytest.mark.parametrize(
    "body",
    [
        [AROUND_TEXT["docker"](TEXT), AROUND_TEXT["docker"](LINE)],
        "\n".join(json.dumps(AROUND_TEXT["docker"](each)) for each in (TEXT, LINE)),
        "\ufeff" + json.dumps([ROW, LINE]),
        BEFORE_LINES["cri"] + TEXT + "\n" + BEFORE_LINES["cri"] + LINE + "\n",
        TEXT + "\n" + LINE,
        {"message": TEXT + "\n" + LINE},
        {"message": TEXT + TEXT},
        {"requestId": "d", "records": [{"data": _base64(TEXT + "\n" + LINE + "\n")}]},
        json.dumps(ROW, indent=2) + "\n" + json.dumps(ROW, indent=2),
        json.dumps(json.dumps([ROW, ROW])),
        _subscription(TEXT, LINE),
        json.dumps(_subscription(TEXT)) + json.dumps(_subscription(TEXT)),
        [[ROW], [ROW]],
    ],
)
def test_batches_of_envelopes_keep_their_order(body: Any) -> None:
    """Arrays, lines and several lines in one envelope are all read."""
    assert _numbers(body) == ["41", "41"]


def test_what_the_adapter_knows_is_left_alone() -> None:
    """A record with members called like an envelope's is not opened."""
    row = {"at": 1, "n": 5, "log": json.dumps({"at": 1, "n": 6}), "records": [{"at": 1, "n": 7}]}
    assert _numbers(row) == ["5"]


@pytest.mark.parametrize(
    ("row", "pod"),
    [
        (AROUND_TEXT["fluent-bit"](TEXT), "gw-0"),
        (AROUND_TEXT["container-log-v2"](LINE), "gw-0"),
        (AROUND_TEXT["cloud-logging"](TEXT), "gw-0"),
        (AROUND_TEXT["loki-push"](LINE), "gw-0"),
        (AROUND_TEXT["otlp"](LINE), "gw-0"),
        ({"message": LINE, "kubernetes": {"pod": {"name": "gw-0"}}}, "gw-0"),
        ({"kubernetes": "odd", "message": LINE}, ""),
        (AROUND_TEXT["docker"](TEXT), ""),
    ],
)
def test_the_pod_that_a_shipper_names_is_the_record_s_instance(row: Any, pod: str) -> None:
    """Which instance wrote the line is often said by the envelope alone."""
    (record,) = _read(row).records
    assert record.instance == pod


def _cut(text: str, *, size: int = 9) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def _tagged(pieces: list[str], tag: Callable[[str, bool], Any]) -> list[Any]:
    return [tag(piece, piece is pieces[-1]) for piece in pieces]


@pytest.mark.parametrize("content", [TEXT, LINE], ids=["json", "line"])
def test_lines_that_a_runtime_cut_are_joined(content: str) -> None:
    """CRI's P and F, Fluent Bit's and Docker's marks, and Docker's missing line end."""
    pieces = _cut(content)
    stamp = "2026-01-01T00:00:00.1Z stdout "
    cri = "\n".join(_tagged(pieces, lambda p, last: f"{stamp}{'F' if last else 'P'} {p}"))
    fluent_bit = _tagged(pieces, lambda p, last: {"log": p, "logtag": "F" if last else "P"})
    tailed = _tagged(pieces, lambda p, last: {"message": p, "_p": "F" if last else "P"})
    driver = _tagged(
        pieces,
        lambda p, last: {
            "log": p,
            "partial_message": "true",
            "partial_id": "x",
            "partial_last": str(last).lower(),
        },
    )
    for body in (cri, fluent_bit, tailed, driver):
        assert _numbers(body) == ["41"]


def test_a_json_line_in_pieces_needs_no_mark() -> None:
    """Pieces of JSON are joined until they are whole; Docker's log ends a line with its end."""
    docker = [{"log": piece, "stream": "stdout"} for piece in _cut(TEXT + "\n")]
    docker = [*docker, {"log": TEXT + "\n", "stream": "stdout"}]
    assert _numbers(docker) == ["41", "41"]
    pretty = [{"message": line} for line in json.dumps(ROW, indent=1).split("\n")]
    assert _numbers([*pretty, *pretty]) == ["41", "41"]


def test_pieces_of_two_streams_do_not_mix() -> None:
    """What stderr says between two pieces of stdout is a line of its own."""
    first, second = TEXT[:9], TEXT[9:]
    body = [
        {"log": first, "logtag": "P", "stream": "stdout"},
        {"log": LINE, "logtag": "F", "stream": "stderr"},
        {"log": second, "logtag": "F", "stream": "stdout"},
    ]
    assert _numbers(body) == ["41", "41"]


def test_a_piece_whose_rest_is_lost_costs_itself_only() -> None:
    """The next whole record is read, and the broken one is listed."""
    body = [{"log": '{"at": 1, "n', "stream": "stdout"}, {"log": TEXT, "stream": "stdout"}]
    decoded = _read(body)
    assert [record.record_id for record in decoded.records] == ["41"]
    assert ["no JSON" in error.reason for error in decoded.rejected] == [True]
    assert "no JSON" in _read([{"log": '{"at": 1, "n'}, ROW]).rejected[0].reason


def test_entries_keep_their_place_among_what_came_out() -> None:
    """An index counts the entries of all envelopes together; ignored ones have theirs."""
    body = {"records": [ROW, {"at": 1}, {"at": 1, "n": 0}, 17, ROW]}
    decoded = _read(body)
    assert [error.index for error in decoded.rejected] == [1, 3]
    assert [(each.index, each.code) for each in decoded.ignored] == [(2, "event")]
    assert len(decoded.records) == 2


@pytest.mark.parametrize(
    "data",
    ["%%%", "abc", None, 7, {}, _base64("x" * 99, zipped=True)[:24], ""],
    ids=repr,
)
def test_a_delivered_record_that_cannot_be_read_costs_itself_only(data: object) -> None:
    """Its error names the record, and the ones beside it are read."""
    good = {"data": _base64(TEXT)}
    decoded = _read({"requestId": "d", "records": [good, {"data": data}, good]})
    assert len(decoded.records) == 2
    assert [(error.index, error.field) for error in decoded.rejected] == [(1, "records[1].data")]


def test_a_control_message_is_no_entry() -> None:
    """It only probes the way: nothing is accepted and nothing is rejected."""
    probe = {**_subscription("probe"), "messageType": "CONTROL_MESSAGE"}
    zipped = _base64(json.dumps(probe), zipped=True)
    assert _read({"requestId": "d", "records": [{"data": zipped}]}) == Decoded([], [], 0, [])


def test_a_bomb_inside_a_record_is_refused_before_it_fills_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The records of one delivery share one budget of decompressed bytes."""
    monkeypatch.setattr(envelopes, "_MOST_BYTES", 100_000)
    bomb = {"data": _base64(" " * 60_000, zipped=True)}
    with pytest.raises(TooLarge):
        _read({"requestId": "d", "records": [bomb, bomb]})


def test_the_depth_of_envelopes_has_an_end() -> None:
    """What lies deeper than any real envelope is refused, not followed."""
    body: Any = ROW
    for _ in range(30):
        body = {"message": body}
    assert len(_read(body).rejected) == 1
    body = ROW
    for _ in range(30):
        body = [body]
    assert len(_read(body).rejected) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"message": {"message": {"log": {}}}},
        {"records": "x", "events": 7, "tables": [{"columns": 1, "rows": [[1]]}]},
        {"tables": [{"columns": [1, {"name": 2}], "rows": [[1], 2]}, 3]},
        {"streams": [1, {"values": [[1], ["1", None]]}]},
        {"results": [[1, {"field": 1}], 7]},
        {"resourceLogs": [1, {"scopeLogs": [1, {"logRecords": [1, {"body": 7}]}]}]},
        {"resourceLogs": [{"resource": {"attributes": {"a": 1}}, "scopeLogs": []}]},
        {"awslogs": {}},
        {"kubernetes": {"pod": {"name": 7}}, "message": 7},
        {"resource": {"labels": []}, "textPayload": None},
        [["tag", 1, {"log": 7}], ["tag", 1]],
        {"logtag": "P", "log": 7},
        {"log": "", "message": " "},
        {},
    ],
)
def test_odd_envelopes_are_refused_and_nothing_breaks(body: Any) -> None:
    """Shapes that look like an envelope and are none make no record and no crash."""
    assert not _read(body).records


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(TEXT),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*envelopes._KNOWN, "columns", "rows", "values", "stream"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_stack_of_known_members_breaks_the_unwrapping(body: Any) -> None:
    """Whatever lies in members that envelopes have, there is an answer."""
    try:
        decoded = _read(body)
    except Undecodable:
        return
    assert all(record.record_id == "41" for record in decoded.records)


@pytest.mark.parametrize(
    "body",
    [
        {"__REALTIME_TIMESTAMP": "7", "MESSAGE": list(LINE.encode()), "_HOSTNAME": "edge"},
        ["kube.edge", [[1770114030, {"log": LINE}]]],
        ["kube.edge", [[1770114030, {"log": LINE}]], {"size": 1}],
        {"index": {"_index": "edge", "_id": "1"}, "log": LINE},
        '{"index":{"_index":"edge"}}\n' + json.dumps({"message": LINE}),
        '{"create":{}}\n' + json.dumps({"message": LINE}),
        'when,line\n2026-02-03,"n=41 ""GET /orders"""\n',
        "at,n\n7,41\n",
        'at=7 n=41 message="three pairs"',
        "at:7\tn:41\tmessage:three labels",
        {
            "resourceLogs": [
                {
                    "scopeLogs": [
                        {
                            "logRecords": [
                                {
                                    "body": {"stringValue": "a line of others"},
                                    "attributes": [
                                        {"key": "at", "value": {"intValue": "7"}},
                                        {"key": "n", "value": {"intValue": "41"}},
                                    ],
                                }
                            ]
                        }
                    ]
                }
            ]
        },
    ],
)
def test_exports_and_bulk_bodies_hold_the_record_too(body: Any) -> None:
    """Journald's bytes, Fluentd's chunks, bulk actions, tables, pairs and log attributes."""
    assert _numbers(body) == ["41"]


@pytest.mark.parametrize(
    "line",
    [
        "at=7 n=41",
        "a sentence with at=7 and nothing else",
        'time="2026-02-03" level=info at=7 n=41 msg="reloaded"',
    ],
)
def test_less_than_three_pairs_or_a_programs_own_words_are_no_record(line: str) -> None:
    """A sentence may hold an equals sign, and programs log in pairs as well."""
    reader = Reader(is_row=READER.is_row, read_row=READER.read_row)
    decoded = read_body(reader, f"{line}\n{TEXT}".encode()).decoded()
    assert [record.record_id for record in decoded.records] == ["41"]
    assert len(decoded.rejected) + len(decoded.ignored) == 1


@pytest.mark.parametrize(
    ("body", "numbers"),
    [
        ([LINE, [ROW]], ["41", "41"]),
        ({"index": {"at": 7, "n": 41}}, ["41"]),
        ({"create": {"at": 7, "n": 41}}, ["41"]),
    ],
)
def test_what_only_looks_like_a_chunk_or_an_action_is_read_whole(
    body: Any, numbers: list[str]
) -> None:
    """A batch may begin with a line, and a record may lie in a member called index."""
    assert _numbers(body) == numbers


@pytest.mark.parametrize("message", [[300, 1], ["n", "="], [[1]], [-1]])
def test_a_message_of_numbers_that_are_no_bytes_is_refused(message: list[Any]) -> None:
    """It costs itself only."""
    decoded = _read([{"MESSAGE": message, "_HOSTNAME": "edge"}, ROW])
    assert [record.record_id for record in decoded.records] == ["41"]
    assert len(decoded.rejected) == 1
