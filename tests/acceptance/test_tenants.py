"""
Tenants of one service: what one sends no other is told, whatever the door and the question.

With `HOPLINE_TEST_ENGINE=server` the tables are those of a ClickHouse over HTTP.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import httpx
import pytest

from collector.api.jaeger.queries import QUERIES
from collector.http.tokens import make_token
from collector.wire import jaeger_pb2 as jaeger
from tests.chaos.neighbours import QUESTIONS, crowd
from tests.ingest import make_request, make_span
from tests.otlp_receiver import Receiver, receiving_grpc
from tests.service import Service, free_ports, start_service
from tests.stored import clickhouse_server
from tests.tenants import (
    EXPORT,
    PATHS,
    PROTOBUF,
    SHARED_RECORD,
    SHARED_TRACE,
    TRACE_DOORS,
    Tenant,
    questions_about,
    send_all,
)

_LIMIT_S = 240.0
_START_LIMIT_S = 600.0
# parts of one battery, so that each is short
APIS = ("/api/v1/r", "/api/v1/", "/api/page/", "/tempo/", "/api/")
# numbers only, whoever asks, or nothing to say about so little
NAMELESS = {
    "/api/v1/clocks", "/api/v1/doctor", "/api/v1/storage", "/api/page/doors", "/api/page/heat",
    "/tempo/api/echo", "/tempo/ready", "/tempo/api/status/buildinfo", "/tempo/api/v2/search/tags",
    "/tempo/api/search/tags",
}  # fmt: skip


@dataclass
class Shared:
    """A service of two tenants, who have sent the same ids, and an operator."""

    service: Service
    ports: dict[str, int]
    red: Tenant
    blue: Tenant
    operator: dict[str, str]
    proxy: dict[str, str]
    client: httpx.Client
    exported: Receiver

    def url(self, port: str, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def ask(self, path: str, headers: dict[str, str]) -> httpx.Response:
        return self.client.get(self.url("api", path), headers=headers)

    def sql(self, statement: str, headers: dict[str, str]) -> httpx.Response:
        return self.client.post(self.url("sql"), content=statement, headers=headers)

    def column(self, statement: str, headers: dict[str, str]) -> list[str]:
        answer = self.sql(statement, headers)
        assert answer.status_code == 200, answer.text
        return answer.text.splitlines()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Both tenants have sent through every door, and all of it is loaded and stitched."""
    folder = tmp_path_factory.mktemp("tenants")
    made = {
        name: make_token(name, ["admin"], tenant)
        for name, tenant in (("red", "red"), ("blue", "blue"), ("ops", ""), ("proxy", "*"))
    }
    token_file = folder / "tokens.toml"
    token_file.write_text("\n".join(entry for _, entry in made.values()))
    names = (
        "ingest", "otlp_grpc", "api", "zipkin", "jaeger_http", "jaeger_grpc", "jaeger_query", "sql",
    )  # fmt: skip
    # all at once: ports that are drawn one after the other may be the same
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    settings: dict[str, Any] = {f"{name}_port": str(port) for name, port in ports.items()}
    is_server = os.environ.get("HOPLINE_TEST_ENGINE") == "server"
    with (
        receiving_grpc() as exported,
        clickhouse_server(folder, user="hopline_ingest") if is_server else nullcontext("") as url,
        start_service(
            folder,
            clickhouse_url=url,
            wait=False,  # three databases are made: on a busy machine that takes a while
            tokens_file=str(token_file),
            tenants="red, blue",
            audit_log="true",
            background_cpu_percent="100",
            export_otlp_endpoint=f"grpc://127.0.0.1:{exported.port}",
            export_otlp_tenant_header="X-Scope-OrgID",
            export_otlp_wait_s="1",
            **settings,
        ) as service,
        httpx.Client(timeout=60, trust_env=False) as client,
    ):
        found = Shared(
            service,
            ports,
            Tenant("red", made["red"][0], 0xAED),
            Tenant("blue", made["blue"][0], 0xB1E),
            {"Authorization": f"Bearer {made['ops'][0]}"},
            {"Authorization": f"Bearer {made['proxy'][0]}"},
            client,
            exported,
        )
        service.wait_for("/readyz", lambda status, _: status == 200, _START_LIMIT_S)
        wait_until_exporting(found)  # it begins with what comes after its first step
        for tenant in (found.red, found.blue):
            send_all(tenant, ports, client)
        for tenant in (found.red, found.blue):
            for table in ("requests", "otel_metrics_gauge"):
                wait_until_counted(found, tenant, f"SELECT count() FROM {table}")
        yield found


def wait_until_exporting(shared: Shared) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while shared.ask("/metrics", shared.operator).text.count("\nhopline_export_lag_seconds") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.3)


def wait_until_counted(shared: Shared, tenant: Tenant, count: str) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while not int(shared.column(count, tenant.headers)[0]):
        assert time.monotonic() < deadline, count
        time.sleep(0.3)


def other_words(answer: str, tenant: Tenant, question: str) -> set[str]:
    """Return words of *tenant* in an answer that the question did not hold."""
    return set(re.findall(rf"\b{tenant.name}-[a-z]+(?:-[a-z]+)*", answer)) - set(
        re.findall(rf"\b{tenant.name}-[a-z]+(?:-[a-z]+)*", question)
    )


@pytest.mark.parametrize("api", APIS)
def test_no_path_tells_one_tenant_of_the_other(shared: Shared, api: str) -> None:
    """Every question of the API with the other's ids and names: no answer has a word of theirs."""
    told: set[str] = set()
    asked = {path for path in PATHS if _api_of(path) == api}
    for template, path in questions_about(shared.blue):
        if template not in asked:
            continue
        answer = shared.ask(path, shared.red.headers)
        assert answer.status_code < 500, (path, answer.text)
        assert not other_words(answer.text, shared.blue, path), (path, answer.text)
        if template not in told and template not in NAMELESS:
            own = shared.ask(path, shared.blue.headers)
            assert not other_words(own.text, shared.red, path), (path, own.text)
            if other_words(own.text, shared.blue, path):
                told.add(template)
    assert asked - told == asked & NAMELESS  # else the questions above would prove nothing


def _api_of(path: str) -> str:
    return next(api for api in APIS if path.startswith(api))


def test_every_door_leads_to_its_tenant(shared: Shared) -> None:
    """Spans, logs, metrics, records and changes lie with who sent them, and say so in each row."""
    for tenant in (shared.red, shared.blue):
        services = shared.column("SELECT DISTINCT ServiceName FROM otel_traces", tenant.headers)
        assert set(services) - {""} == {tenant.word(door) for door in TRACE_DOORS}
        for table in ("otel_traces", "otel_logs", "otel_metrics_gauge"):
            found = shared.column(f"SELECT DISTINCT Tenant FROM {table}", tenant.headers)
            assert found == [tenant.name], table
        records = shared.column("SELECT DISTINCT tenant FROM gateway_record", tenant.headers)
        assert records == [tenant.name]
        logs = shared.column("SELECT count() FROM otel_logs", tenant.headers)
        assert int(logs[0]) == 2  # one over OTLP, one of Envoy's access log service
        changes = shared.ask("/api/v1/changes", tenant.headers).text
        assert tenant.word("release") in changes
    assert shared.column("SELECT count() FROM otel_traces", shared.operator) == ["0"]
    assert shared.ask("/api/v1/requests?start=-1d", shared.operator).json()["requests"] == []


def test_equal_ids_of_two_tenants_stay_apart(shared: Shared) -> None:
    """The same trace id and the same record id are one request of each tenant."""
    for tenant in (shared.red, shared.blue):
        for id_ in (SHARED_TRACE, SHARED_RECORD):
            timeline = shared.ask(f"/api/v1/requests/{id_}", tenant.headers).json()
            assert {hop["service"] for hop in timeline["hops"]} - {""} <= {
                tenant.word(what) for what in ("otlp-http", "otlp-grpc", "api", "host")
            } | {"azure-apim"}
            (record,) = timeline["gateway_records"]
            assert record["api"] == tenant.word("api")


def test_equal_bytes_of_two_tenants_are_no_resend(shared: Shared) -> None:
    """Each tenant's request is stored once, and the second one's is no repetition of the first."""
    body = make_request(make_span(7, start_time_unix_nano=time.time_ns()), service="both")
    for tenant in (shared.red, shared.blue, shared.red):
        headers = tenant.headers | {"content-type": PROTOBUF}
        url = shared.url("ingest", "/v1/traces")
        assert shared.client.post(url, content=body, headers=headers).status_code == 200
    count = "SELECT count() FROM otel_traces WHERE ServiceName = 'both'"
    deadline = time.monotonic() + _LIMIT_S
    for tenant in (shared.red, shared.blue):
        while shared.column(count, tenant.headers) != ["1"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM hopline_blue.otel_traces",
        "SELECT * FROM hopline_blue.requests",
        "SELECT * FROM hopline.otel_traces",
        "SELECT 1 IN hopline_blue.otel_traces",
        "WITH x AS (SELECT * FROM hopline_blue.hops) SELECT * FROM x",
        "SELECT * FROM merge('hopline_.*', 'otel_traces')",
        "SELECT * FROM cluster('default', hopline_blue, otel_traces)",
        "SELECT dictGet('hopline_blue.x', 'a', 1)",
        "SHOW TABLES FROM hopline_blue",
        "SHOW CREATE TABLE hopline_blue.otel_traces",
        "EXISTS TABLE hopline_blue.otel_traces",
        "DESCRIBE TABLE hopline_blue.otel_traces",
        "USE hopline_blue",
    ],
)
def test_sql_sees_no_other_database(shared: Shared, statement: str) -> None:
    """The SQL port refuses every way to name the rows of another tenant, the operator's too."""
    assert shared.sql(statement, shared.red.headers).status_code >= 400
    own = statement.replace("hopline_blue", "hopline_red")
    if "hopline_red.otel_traces" in own and own.startswith(("SELECT *", "SHOW C", "EX", "DESC")):
        assert shared.sql(own, shared.red.headers).status_code == 200


def test_sql_lists_own_tables_only(shared: Shared) -> None:
    """Catalogues and an address that names a database know no other tenant."""
    for statement in (
        "SHOW DATABASES",
        "SELECT DISTINCT database FROM system.tables",
        "SELECT DISTINCT database FROM system.columns",
        "SELECT name FROM system.databases",
    ):
        found = set(shared.column(statement, shared.red.headers))
        assert found - {"system"} == {"hopline_red"}, statement
    url = shared.url("sql", "/?query=SELECT%201&database=")
    for database, status in (("hopline_blue", 404), ("hopline", 404), ("hopline_red", 200)):
        answer = shared.client.get(url + database, headers=shared.red.headers)
        assert answer.status_code == status, database


def test_metrics_are_for_nobody_of_one_tenant(shared: Shared) -> None:
    """Counters of all tenants are told to the operator alone, each with its tenant."""
    for port in ("api", "ingest"):
        url = shared.url(port, "/metrics")
        for path in (url, f"{url}%0A"):  # a route also takes its path with a line break behind it
            answer = shared.client.get(path, headers=shared.red.headers)
            assert answer.status_code in (403, 404)
        answer = shared.client.get(url, headers=shared.operator)
        assert answer.status_code == 200
        assert re.search(r"hopline_intake_records_accepted_total\{.*tenant=\"blue\"", answer.text)


def test_a_proxy_names_the_tenant_and_nobody_else_does(shared: Shared) -> None:
    """The header is believed with a proxy's token, and refused with any other one, on all ports."""
    sources = "/api/v1/sources"
    named = {"X-Hopline-Tenant": "blue"}
    assert "blue-otlp-http" in shared.ask(sources, shared.proxy | named).text
    for headers in (
        shared.proxy,
        shared.proxy | {"X-Hopline-Tenant": "green"},
        shared.red.headers | named,
        shared.operator | named,
    ):
        assert shared.ask(sources, headers).status_code == 403
        assert shared.sql("SELECT 1", headers).status_code == 403
        for port, path in (
            ("ingest", "/v1/traces"),
            ("ingest", "/v1/gateway/azure-apim"),
            ("zipkin", "/api/v2/spans"),
            ("jaeger_http", "/api/traces"),
        ):
            given = headers | {"content-type": "x/y"}
            sent = shared.client.post(shared.url(port, path), content=b"[]", headers=given)
            assert sent.status_code == 403, path
            assert "tenant" in sent.text
        metadata = [(name.lower(), value) for name, value in headers.items()]
        with grpc.insecure_channel(f"127.0.0.1:{shared.ports['otlp_grpc']}") as channel:
            export: Any = channel.unary_unary(EXPORT, None, None)
            with pytest.raises(grpc.RpcError) as caught:
                export(b"", metadata=metadata, timeout=20)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_the_tail_tells_of_own_requests(shared: Shared) -> None:
    """A reader of the tail sees what its own tenant sends, while another one sends too."""
    url = shared.url("api", "/api/v1/tail")
    seen = ""
    with shared.client.stream("GET", url, headers=shared.red.headers) as tail:
        later = Tenant("blue", shared.blue.token, 0xB1E2), Tenant("red", shared.red.token, 0xAED2)
        for tenant in later:
            send_all(tenant, shared.ports, shared.client)
        for chunk in tail.iter_text():
            seen += chunk
            if later[1].trace_id in seen:
                break
    assert "blue" not in seen
    assert later[0].trace_id not in seen


def test_reads_are_logged_with_their_tenant(shared: Shared) -> None:
    """The audit log says for which tenant somebody read, and who tried to read of another."""
    secret = quote('{"password":"hunter2-of-red"}')
    shared.ask(f"/api/v1/sources?of=audit-{secret}", shared.red.headers)
    foreign = {**shared.red.headers, "x-hopline-tenant": "blue"}
    shared.client.get(shared.url("api", "/api/v1/sources?of=audit"), headers=foreign)
    lines: list[str] = []
    deadline = time.monotonic() + _LIMIT_S
    while len(lines) < 2:  # the lines are written after the answers
        assert time.monotonic() < deadline
        log = Path(shared.service.log).read_text()
        lines = [line for line in log.splitlines(keepends=True) if "of=audit" in line]
        lines = [line for line in lines if line.endswith("\n")]
        time.sleep(0.05)
    assert all('"who": "red"' in line for line in lines)
    own, refused = sorted(lines, key=lambda line: '"status": 403' in line)
    assert '"tenant": "red"' in own
    assert '"status": 403' in refused
    assert "hunter2" not in "".join(lines)


def test_the_grpc_query_port_knows_tenants(shared: Shared) -> None:
    """Jaeger's query API over gRPC answers from the caller's tenant, and refuses a foreign name."""
    trace = jaeger.V3GetTraceRequest(trace_id=shared.blue.trace_id)
    operations = jaeger.GetOperationsRequest(service=shared.blue.word("otlp-http"))
    bodies = {
        "GetServices": b"",
        "GetOperations": operations.SerializeToString(),
        "GetTrace": trace.SerializeToString(),
    }
    with grpc.insecure_channel(f"127.0.0.1:{shared.ports['jaeger_query']}") as channel:

        def ask(path: str, body: bytes, headers: dict[str, str]) -> bytes:
            metadata = [(name.lower(), value) for name, value in headers.items()]
            is_stream = QUERIES[path].is_stream
            method: Any = channel.unary_stream if is_stream else channel.unary_unary
            answer = method(path, None, None)(body, metadata=metadata, timeout=30)
            return b"".join(answer) if is_stream else bytes(answer)

        for method, body in bodies.items():
            path = f"/jaeger.api_v3.QueryService/{method}"
            assert b"blue-" in ask(path, body, shared.blue.headers)
            if method == "GetTrace":
                with pytest.raises(grpc.RpcError) as caught:
                    ask(path, body, shared.red.headers)
                assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            else:
                assert b"blue-" not in ask(path, body, shared.red.headers)
            with pytest.raises(grpc.RpcError) as caught:
                ask(path, body, shared.red.headers | {"x-hopline-tenant": "blue"})
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_exported_records_carry_their_tenants_name(shared: Shared) -> None:
    """The span of each tenant's record goes out with its own name, in batches of its own."""
    wanted = {shared.red.trace_id: "red", shared.blue.trace_id: "blue"}
    deadline = time.monotonic() + _LIMIT_S
    while True:
        told = {
            trace_id: headers["x-scope-orgid"]
            for trace_id, headers in list(shared.exported.by_trace.items())
        }
        if wanted.items() <= told.items():
            break
        assert time.monotonic() < deadline, told
        time.sleep(0.3)


def test_an_assistant_hears_of_its_own_tenant(shared: Shared) -> None:
    """The tools of `/mcp` answer from the tenant of the token."""

    def call(tool: str, headers: dict[str, str], **arguments: str) -> str:
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        }
        given = headers | {"accept": "application/json, text/event-stream"}
        return shared.client.post(shared.url("api", "/mcp"), json=body, headers=given).text

    questions: list[tuple[str, dict[str, str]]] = [
        ("list_apis", {}),
        ("find_requests", {}),
        ("list_changes", {}),
        ("explain_request", {"id": shared.blue.trace_id}),
    ]
    for tool, arguments in questions:
        assert "blue-" in call(tool, shared.blue.headers, **arguments), tool
        assert "blue-" not in call(tool, shared.red.headers, **arguments), tool
    assert "wrong_tenant" in call("list_apis", shared.red.headers | {"X-Hopline-Tenant": "blue"})


# Last, since it adds to what the tests above count.
def test_tenants_that_send_and_ask_at_once_stay_apart(shared: Shared) -> None:
    """While both send through every door, no answer to either has a word of the other."""
    heard, told = crowd([shared.red, shared.blue], shared.ports, 4.0)
    assert heard.foreign == []
    assert heard.failed == 0
    assert heard.sent >= 2
    assert all(told[name] >= len(QUESTIONS) // 2 for name in ("red", "blue"))
