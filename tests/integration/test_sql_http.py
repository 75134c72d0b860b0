"""The embedded store answers as ClickHouse's HTTP interface does, to read only."""

import base64
import gzip
import logging
import socket
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clickhouse_connect
import httpx
import pytest
import zstandard
from clickhouse_connect.driver.exceptions import DatabaseError

from collector.config import load_settings
from collector.errors import ConfigError
from collector.http import asgi
from collector.store import Store
from tests.sql_client import SqlClient, sql_port
from tests.stored import Loading, make_record, make_span, opened, store_settings, trace_id

TOKEN = "t" * 32
TRACES = 30
VIEWS = ("hops", "requests")
HELLO = "SELECT displayName(), version(), revision(), timezone()"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("sql")
    with opened(store_settings(folder)) as store:
        loading = Loading(store, folder)
        loading.spans(*(make_span(number, trace=number) for number in range(1, TRACES + 1)))
        loading.records(*(make_record(number) for number in range(1, 4)))
        yield store


@pytest.fixture(scope="module")
def port(store: Store) -> Iterator[SqlClient]:
    with sql_port(store) as client:
        yield client


@pytest.fixture(scope="module")
def guarded(store: Store) -> Iterator[SqlClient]:
    with sql_port(store, tokens=(TOKEN,), timeout_s=1) as client:
        yield client


def _client(port: SqlClient, **given: object) -> clickhouse_connect.driver.Client:
    where = {"host": "127.0.0.1", "port": int(port.url.rpartition(":")[2]), "database": "hopline"}
    return clickhouse_connect.get_client(**where, **given)  # type: ignore[arg-type]  # mixed values


def test_clickhouse_connect_reads_rows_with_parameters(port: SqlClient) -> None:
    """A client that people use opens, binds values of all shapes and reads types as they are."""
    client = _client(port)
    try:
        answer = client.query(
            "SELECT TraceId, Timestamp, Duration FROM otel_traces WHERE TraceId = {id:String}"
            " AND ServiceName IN {services:Array(String)}",
            parameters={"id": trace_id(7), "services": ["orders", "it's \\ 'x'"]},
        )
        assert [row[0] for row in answer.result_rows] == [trace_id(7)]
        assert answer.result_rows[0][2] == 20_000_000
        assert client.command("SELECT count() FROM hopline.otel_traces") == TRACES
        assert len(client.query_df("SELECT * FROM gateway_record")) == 3
        assert client.query("SELECT 1 AS a WHERE 0").result_rows == []
        streamed = client.query_rows_stream("SELECT number FROM numbers(100000)")
        with streamed as rows:
            assert sum(1 for _ in rows) == 100_000
        with pytest.raises(DatabaseError, match="497"):
            client.command("SELECT * FROM url('http://127.0.0.1:9')")
        with pytest.raises(DatabaseError):
            client.insert("otel_traces", [["x"]], column_names=["TraceId"])
    finally:
        client.close()


def test_clickhouse_go_is_greeted_with_a_block_of_its_protocol(port: SqlClient) -> None:
    """The greeting has revision 0, so that every later block is read in the plain shape."""
    body = port.post(HELLO, {"default_format": "Native", "client_protocol_version": "54460"})
    assert body.content.startswith(b"\x01\x00\x02\xff\xff\xff\xff\x00\x04\x01")
    assert b"\x0arevision()\x06UInt32\x00" + bytes(4) in body.content
    plain = port.post(HELLO, {"default_format": "Native"})
    assert plain.content.startswith(b"\x04\x01")


def test_catalogue_shows_the_tables_that_people_query(port: SqlClient) -> None:
    """What editors and Grafana's query builder ask about tables and columns is answered."""
    assert port.rows("SHOW DATABASES") == [["hopline"], ["system"]]
    tables = {name for (name,) in port.rows("SHOW TABLES FROM hopline")}
    assert {"otel_traces", "otel_logs", "gateway_record", *VIEWS} <= tables
    assert not tables & {"request", "trace_summary", "landing_trace", "id_index", "progress"}
    listed = port.rows("SELECT name FROM system.tables WHERE database = 'hopline'")
    assert {name for (name,) in listed} == tables
    described = {row[0] for row in port.rows("DESC requests")}
    assert {"start", "request_id", "gateway_ms", "verdict_layer", "hops"} <= described
    columns = port.rows(
        "SELECT name FROM system.columns WHERE database = 'hopline' AND table = 'requests'"
    )
    assert {name for (name,) in columns} == described
    assert port.rows("SELECT count() FROM system.columns WHERE table = 'request'") == [["0"]]
    assert len(port.rows("SELECT name FROM system.functions")) > 500
    assert port.rows("EXISTS TABLE hopline.requests") == [["1"]]
    assert port.rows("SELECT currentDatabase()") == [["hopline"]]


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_of_a_view_can_be_selected(port: SqlClient, view: str) -> None:
    """No column of what `SELECT *` shows is a state, or fails to be written."""
    for shape in ("JSON", "Native", "CSVWithNames", "Arrow"):
        answer = port.post(f"SELECT * FROM {view} LIMIT 1 FORMAT {shape}")
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT version()", 1),
        ('SHOW TABLES FROM "hopline"', None),
        ('DESC TABLE "hopline"."otel_traces"', None),
        ('DESC TABLE "hopline"."otel_traces_trace_id_ts"', None),
        ("SELECT name, type, table FROM system.columns WHERE database IN ('hopline')", None),
        ("SELECT name FROM system.databases ORDER BY name", 2),
        (
            'SELECT DISTINCT arrayJoin(mapKeys("SpanAttributes")) as keys FROM '
            '(SELECT "SpanAttributes" FROM "hopline"."otel_traces" LIMIT 1000) LIMIT 1000',
            0,
        ),
        (
            'SELECT DISTINCT arrayJoin(mapKeys("SpanAttributes")) as keys FROM '
            '"hopline"."otel_traces" WHERE "Timestamp" >= now() - INTERVAL 6 HOUR LIMIT 1000',
            0,
        ),
        (
            'SELECT DISTINCT "SpanAttributes"[\'http.route\'] AS value FROM "hopline"."otel_traces"'
            " WHERE mapContains(\"SpanAttributes\", 'http.route') ORDER BY value LIMIT 1000",
            0,
        ),
        (
            'SELECT DISTINCT "ServiceName" FROM "hopline"."otel_traces" WHERE "ServiceName" IS NOT'
            " NULL LIMIT 1000",
            None,
        ),
        (
            "SELECT point.1 AS x, point.2 AS y FROM (SELECT arrayJoin(lttb(100)(toUnixTimestamp("
            '"Timestamp"), "Duration")) AS point FROM "hopline"."otel_traces") ORDER BY x',
            None,
        ),
        ("SELECT 1 SETTINGS max_execution_time=10", 1),
    ],
)
def test_what_grafanas_editor_sends_is_answered(
    port: SqlClient, sql: str, rows: int | None
) -> None:
    """Its lists of tables, columns, keys and values, its variables and its downsampling."""
    found = port.rows(sql, limit="100000")
    assert found if rows is None else len(found) == rows


def test_formats_come_with_their_content_type(port: SqlClient) -> None:
    """The format is the statement's, else the address's, else the header's, else TabSeparated."""
    json = port.post("SELECT 1 AS a FORMAT JSON", {"default_format": "CSV"})
    assert json.json()["data"] == [{"a": 1}]
    assert json.headers["content-type"].startswith("application/json")
    assert port.post("SELECT 1", {"default_format": "CSVWithNames"}).text == '"1"\n1\n'
    assert port.post("SELECT 'x'", headers={"X-ClickHouse-Format": "JSONEachRow"}).json() == {
        "'x'": "x"
    }
    assert port.post("SELECT 1, 2").text == "1\t2\n"
    parquet = port.post("SELECT 1 AS a FORMAT Parquet").content
    assert parquet[:4] == b"PAR1"
    for end in ("FORMAT CSV SETTINGS max_threads = 1", "SETTINGS max_threads = 1 FORMAT CSV"):
        assert port.post(f"SELECT 1 {end}").text == "1\n"
    assert port.refusal("SELECT 1 FORMAT Template")[:2] == (404, 73)


def test_answers_and_statements_may_be_packed(port: SqlClient) -> None:
    """Packed both ways, when asked; a bomb of a statement costs only its refusal."""
    wanted = {"enable_http_compression": "1"}
    sql = "SELECT number FROM numbers(5000)"
    plain = port.post(sql).text
    for encoding in ("gzip", "deflate", "zstd"):
        answer = port.post(sql, wanted, {"Accept-Encoding": encoding})
        assert answer.headers["content-encoding"] == encoding
        assert answer.text == plain
    assert "content-encoding" not in port.post(sql, headers={"Accept-Encoding": "gzip"}).headers
    for encoding, packed in (
        ("gzip", gzip.compress(sql.encode())),
        ("deflate", zlib.compress(sql.encode())),
        ("zstd", zstandard.compress(sql.encode())),
    ):
        assert port.post(packed, headers={"Content-Encoding": encoding}).text == plain
    bomb = gzip.compress(b" " * 50_000_000)
    assert port.post(bomb, headers={"Content-Encoding": "gzip"}).status_code == 400
    cut = gzip.compress(sql.encode())[:-9]
    for encoding, damaged in (("gzip", b"x"), ("gzip", cut), ("br", b"x")):
        assert port.post(damaged, headers={"Content-Encoding": encoding}).status_code == 501


def test_parameters_are_values_and_never_statements(port: SqlClient) -> None:
    """Values come as ClickHouse escapes them; none becomes a part of the statement."""
    hostile = "x' OR 1=1; DROP TABLE otel_traces --"
    sql = "SELECT {v:String} AS v"
    assert port.post(sql, {"param_v": hostile, "default_format": "JSONEachRow"}).json() == {
        "v": hostile
    }
    assert port.rows("SELECT {n:UInt8} + 1", param_n="41") == [["42"]]
    assert port.rows("SELECT {n:Nullable(String)} IS NULL", param_n="\\N") == [["1"]]
    assert port.rows("SELECT length({v:String})", param_v="a\\tb") == [["3"]]
    assert port.rows("SELECT {a:Array(UInt8)}[2]", param_a="[1,2]") == [["2"]]
    assert port.rows("SELECT {t:DateTime64(3)} > now() - 1", param_t="2200-01-01 00:00:00.000")
    assert port.refusal("SELECT {v:String}")[1] == 456
    assert port.refusal("SELECT * FROM {t:Identifier}", param_t="otel_traces")[1] == 457
    assert port.refusal("SELECT {n:UInt8}", param_n="many")[0] == 400


def test_settings_are_lowered_and_never_raised(port: SqlClient) -> None:
    """What a client may set is clamped; what could open anything is refused by name."""
    assert port.rows("SELECT 1", readonly="0", max_memory_usage="999999999999") == [["1"]]
    most = "SELECT value FROM system.settings WHERE name = 'max_result_rows'"
    assert int(port.rows(most, max_result_rows="0")[0][0]) == 1_000_000
    assert port.rows(most, max_result_rows="7") == [["7"]]
    readonly = "SELECT value FROM system.settings WHERE name = 'readonly'"
    assert port.rows(readonly, readonly="0") == [["2"]]
    time = "SELECT value FROM system.settings WHERE name = 'max_execution_time'"
    assert float(port.rows(time, max_execution_time="0")[0][0]) > 0
    assert float(port.rows(time, max_execution_time="9999")[0][0]) <= 20
    for name in ("allow_ddl", "additional_table_filters", "format_schema", "log_queries_min_type"):
        assert port.refusal("SELECT 1", **{name: "1"})[1] == 164, name
    assert port.refusal("SELECT 1 SETTINGS allow_introspection_functions = 1")[1] == 164


def test_too_many_rows_are_an_error_and_not_a_cut_answer(port: SqlClient) -> None:
    """Over a million rows, or over memory, the answer is ClickHouse's error."""
    assert port.refusal("SELECT number FROM numbers(1000001)")[1] == 396
    answer = port.refusal("SELECT groupArray(repeat(toString(number), 9999)) FROM numbers(999999)")
    assert answer[:2] == (400, 241), answer


def test_an_answer_has_nothing_of_the_one_that_failed_before(port: SqlClient) -> None:
    """What a statement had put out before it failed is not the beginning of the next answer."""
    cut = "SELECT 'of another', toUInt8(if(number = 900000, 'x', '1')) FROM numbers(990000)"
    for _ in range(3):
        assert port.refusal(cut)[1] == 6
        assert port.rows("SELECT 1") == [["1"]]
        assert port.rows("DESC (SELECT 1 AS a)")[0][:2] == ["a", "UInt8"]


def test_a_statement_has_only_its_time(guarded: SqlClient) -> None:
    """Work without end stops at the limit of the server, whatever the statement says."""
    sql = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
    sql += " SETTINGS max_execution_time = 0"
    answer = guarded.post(sql, headers={"X-ClickHouse-Key": TOKEN})
    assert answer.status_code == 408
    assert answer.headers["x-clickhouse-exception-code"] == "159"


def test_many_ask_at_once(port: SqlClient) -> None:
    """More clients than threads are answered one after the other."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: port.post(f"SELECT {n}").text, range(48)))
    assert answers == [f"{n}\n" for n in range(48)]


def test_errors_are_clickhouses(port: SqlClient) -> None:
    """Status, code and text are what clients know how to show."""
    assert port.refusal("SELECT nope FROM otel_traces")[:2] == (404, 47)
    assert port.refusal("SELECT 1 FROM nope")[:2] == (404, 60)
    assert port.refusal("SELECT * FROM other.t")[:2] == (404, 81)
    status, code, text = port.refusal("SELEC 1")
    assert (status, code) == (400, 62)
    assert text.startswith("Code: 62. DB::Exception: Syntax error")
    assert port.refusal("INSERT INTO otel_traces VALUES (1)")[:2] == (403, 497)
    assert port.refusal("SELECT 1", database="secret")[:2] == (404, 81)
    assert port.refusal(b"SELECT '\xff'")[:2] == (400, 62)
    assert port.refusal("SELECT '\\xff\\xfe'")[:2] == (400, 62)
    assert port.client.get("/nope").status_code == 501
    assert port.client.put("/", content="SELECT 1").status_code == 501


def test_get_and_ping_are_served(port: SqlClient) -> None:
    """What load balancers and curl send is answered."""
    assert port.client.get("/ping").text == "Ok.\n"
    assert port.client.get("/").text == "Ok.\n"
    assert port.client.get("/", params={"query": "SELECT 1"}).text == "1\n"
    joined = port.client.post("/", params={"query": "SELECT 1"}, content=" + 1")
    assert joined.text == "2\n"


@pytest.mark.parametrize("way", ["basic", "bearer", "header", "address"])
def test_a_token_is_taken_in_each_way_that_clients_send_it(guarded: SqlClient, way: str) -> None:
    """The token is the password of any user, or a bearer token."""
    basic = base64.b64encode(f"default:{TOKEN}".encode()).decode()
    headers = {
        "basic": {"Authorization": f"Basic {basic}"},
        "bearer": {"Authorization": f"Bearer {TOKEN}"},
        "header": {"X-ClickHouse-User": "default", "X-ClickHouse-Key": TOKEN},
        "address": {},
    }[way]
    parameters = {"user": "x", "password": TOKEN} if way == "address" else {}
    assert guarded.post("SELECT 1", parameters, headers).text == "1\n"
    wrong = {name: value[:-3] + "xyz" for name, value in headers.items()}
    refused = guarded.post("SELECT 1", parameters and {"password": "no"}, wrong)
    assert refused.status_code in (401, 403)
    assert int(refused.headers["x-clickhouse-exception-code"]) in (194, 516)


def test_without_a_token_nothing_is_answered(guarded: SqlClient) -> None:
    """Only the ping says anything."""
    assert guarded.refusal("SELECT 1")[:2] == (401, 194)
    assert guarded.client.get("/ping").status_code == 200
    with pytest.raises(DatabaseError):
        _client(guarded)
    client = _client(guarded, username="grafana", password=TOKEN)
    assert client.command("SELECT 1") == 1
    client.close()


def test_outside_loopback_the_port_needs_tokens(tmp_path: Path) -> None:
    """The rule of every other socket holds for this one."""
    with pytest.raises(ConfigError, match="HOPLINE_QUERY_TOKENS"):
        load_settings(data_dir=tmp_path, bind="0.0.0.0", sql_port=8123).sql()
    people = {"oidc_issuer": "https://people.example", "oidc_audience": "hopline"}
    outside = {"data_dir": tmp_path, "bind": "0.0.0.0", "ingest_tokens": TOKEN, **people}
    load_settings(**outside)
    with pytest.raises(ConfigError, match="HOPLINE_SQL_PORT"):
        load_settings(**outside, sql_port=8123)
    assert load_settings(**outside, sql_port=8123, query_tokens=TOKEN).sql().tokens == (TOKEN,)
    # who must sign in elsewhere does not come in here by staying on the machine
    with pytest.raises(ConfigError, match="HOPLINE_SQL_PORT"):
        load_settings(data_dir=tmp_path, sql_port=8123, **people)
    assert load_settings(data_dir=tmp_path).sql().port == 0


def test_native_blocks_without_rows_still_name_their_columns(port: SqlClient) -> None:
    """A table panel without rows shows its header."""
    body = port.post("SELECT toUInt8(1) AS a WHERE 0 FORMAT Native").content
    assert body == struct.pack("BB", 1, 0) + b"\x01a\x05UInt8"


def test_the_audit_log_says_who_asked_what(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Statements are logged with the token's name and without secrets, refused ones as well."""
    caplog.set_level(logging.INFO, "collector.audit")
    with sql_port(store, tokens=(TOKEN,), is_audited=True) as port:
        signed_in = {"authorization": f"Bearer {TOKEN}"}
        port.post("SELECT 1", headers=signed_in)
        port.post("SELECT 'password=correct-horse', 1", headers=signed_in)
        port.post("SELECT 2")
    told = [record.__dict__ for record in caplog.records if record.name == "collector.audit"]
    assert [(each["query"], each["status"]) for each in told[::2]] == [("SELECT 1", 200), ("", 401)]
    assert told[0]["who"] not in ("", "(nobody)", TOKEN)
    assert told[2]["who"] == "(nobody)"
    assert "correct-horse" not in str(told)


def test_a_statement_that_does_not_come_is_not_waited_for(
    port: SqlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that was announced and is late is an error, and the connection is closed."""
    monkeypatch.setattr(asgi, "_BODY_WAIT_S", 0.3)
    url = httpx.URL(port.url)
    with socket.create_connection((url.host, url.port or 0), timeout=20) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nSELECT")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"x-clickhouse-exception-code: 209" in answer
