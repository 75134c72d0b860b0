"""TLS, client certificates and scoped tokens on every door, with real clients."""

import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpSpanExporter,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import format_trace_id

from collector.http.tokens import make_token
from tests.certificates import Authority, Pair
from tests.service import Service, free_ports, start_service

_LIMIT_S = 20.0
TRACE_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
JAEGER_EXPORT = "/jaeger.api_v2.CollectorService/PostSpans"
JAEGER_QUERY = "/jaeger.api_v3.QueryService/GetServices"


@dataclass
class Guarded:
    """A service with everything on, and what its clients hold."""

    service: Service
    authority: Authority
    client: Pair
    ports: dict[str, int]
    token_file: Path
    certificate: Pair
    ingest: str
    read: str

    def http(self, *, with_certificate: bool = True) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if with_certificate:
            context.load_cert_chain(self.client.certificate, self.client.key)
        return httpx.Client(verify=context, timeout=20, trust_env=False)

    def channel(self, port: int, *, with_certificate: bool = True) -> grpc.Channel:
        pair = self.client if with_certificate else None
        credentials = grpc.ssl_channel_credentials(
            self.authority.certificate.read_bytes(),
            pair.key.read_bytes() if pair else None,
            pair.certificate.read_bytes() if pair else None,
        )
        return grpc.secure_channel(f"127.0.0.1:{port}", credentials)

    def urls(self) -> dict[str, str]:
        """Return one address of each HTTP port, by its name."""
        paths = {
            "ingest": "/v1/traces",
            "api": "/api/v1/sources",
            "zipkin": "/api/v2/spans",
            "jaeger_http": "/api/traces",
            "sql": "/?query=SELECT%201",
        }
        return {name: f"https://127.0.0.1:{self.ports[name]}{path}" for name, path in paths.items()}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A service that asks for a client's certificate and a token of a file on every door."""
    folder = tmp_path_factory.mktemp("guarded")
    authority = Authority(folder)
    certificate, client = authority.issue("server"), authority.issue("client")
    (ingest, entry), (read, other) = make_token("ci", ["ingest"]), make_token("ann", ["read"])
    token_file = folder / "tokens.toml"
    token_file.write_text(f"{entry}\n{other}\n")
    names = (
        "zipkin_port",
        "jaeger_http_port",
        "jaeger_grpc_port",
        "jaeger_query_port",
        "sql_port",
    )
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    settings: dict[str, Any] = {name: str(port) for name, port in ports.items()}
    with start_service(
        folder,
        tokens_file=str(token_file),
        tls_cert=str(certificate.certificate),
        tls_key=str(certificate.key),
        tls_client_ca=str(authority.certificate),
        **settings,
    ) as service:
        all_ports = {name.removesuffix("_port"): port for name, port in ports.items()}
        all_ports |= {
            "ingest": service.http_port,
            "api": service.api_port,
            "otlp_grpc": service.grpc_port,
        }
        yield Guarded(service, authority, client, all_ports, token_file, certificate, ingest, read)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def until(is_so: Callable[[], bool]) -> None:
    """Wait until a change of a file is noticed."""
    deadline = time.monotonic() + _LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def exporters(guarded: Guarded) -> dict[str, SpanExporter]:
    service, pair = guarded.service, guarded.client
    return {
        "grpc": GrpcSpanExporter(
            endpoint=f"https://127.0.0.1:{service.grpc_port}",
            credentials=grpc.ssl_channel_credentials(
                guarded.authority.certificate.read_bytes(),
                pair.key.read_bytes(),
                pair.certificate.read_bytes(),
            ),
            headers={"authorization": f"Bearer {guarded.ingest}"},
        ),
        "http": HttpSpanExporter(
            endpoint=f"https://127.0.0.1:{service.http_port}/v1/traces",
            certificate_file=str(guarded.authority.certificate),
            client_certificate_file=str(pair.certificate),
            client_key_file=str(pair.key),
            headers=bearer(guarded.ingest),
        ),
    }


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_real_sdk_sends_over_mutual_tls(
    guarded: Guarded, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the SDK sends with its certificate and token is read with another token."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # requests would rather take these
        monkeypatch.delenv(name, raising=False)
    provider = TracerProvider(resource=Resource.create({"service.name": "safe"}))
    provider.add_span_processor(SimpleSpanProcessor(exporters(guarded)[kind]))
    with provider.get_tracer("t").start_as_current_span("GET /") as span:
        trace_id = format_trace_id(span.get_span_context().trace_id)
    provider.shutdown()
    url = f"https://127.0.0.1:{guarded.service.api_port}/api/v1/requests/{trace_id}"
    with guarded.http() as client:
        until(lambda: client.get(url, headers=bearer(guarded.read)).status_code == 200)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_sends_and_reads(guarded: Guarded) -> None:
    """curl with its usual options is a client like any other."""
    base = ["curl", "-sS", "--fail", "--cacert", str(guarded.authority.certificate)]
    base += ["--cert", str(guarded.client.certificate), "--key", str(guarded.client.key)]
    url = f"https://localhost:{guarded.service.api_port}/api/v1/sources"
    command = [*base, "-H", f"Authorization: Bearer {guarded.read}", url]
    assert subprocess.run(command, capture_output=True, check=True, timeout=30).stdout


def test_no_door_opens_without_a_certificate(guarded: Guarded) -> None:
    """Whoever has no certificate of the authority, or speaks plain text, gets no answer at all."""
    with guarded.http(with_certificate=False) as client:
        for url in guarded.urls().values():
            with pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)):
                client.get(url)
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                client.get(url.replace("https://", "http://"))
    for name in ("otlp_grpc", "jaeger_grpc", "jaeger_query"):
        with guarded.channel(guarded.ports[name], with_certificate=False) as channel:
            call: Any = channel.unary_unary(TRACE_EXPORT, None, None)
            with pytest.raises(grpc.RpcError) as caught:
                call(b"", timeout=10, metadata=[("authorization", f"Bearer {guarded.ingest}")])
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("token", ["", "wrong", "other scope"])
def test_no_door_opens_without_a_token_of_its_scope(guarded: Guarded, token: str) -> None:
    """No token, a wrong one, and one that may do something else are refused on every port."""
    with guarded.http() as client:
        for name, url in guarded.urls().items():
            is_read = name in ("api", "sql")
            given = guarded.ingest if is_read else guarded.read
            headers = bearer(given if token == "other scope" else token) if token else {}
            answer = (
                client.get(url, headers=headers)
                if is_read
                else client.post(
                    url, content=b"[]", headers={"content-type": "application/json", **headers}
                )
            )
            assert answer.status_code in (401, 403), (name, answer.text)
        metrics = f"https://127.0.0.1:{guarded.service.http_port}/metrics"
        assert client.get(metrics, headers=bearer(guarded.ingest)).status_code == 401
        assert client.get(metrics, headers=bearer(guarded.read)).status_code == 200
    for name, method in (
        ("otlp_grpc", TRACE_EXPORT),
        ("jaeger_grpc", JAEGER_EXPORT),
        ("jaeger_query", JAEGER_QUERY),
    ):
        other = guarded.ingest if name == "jaeger_query" else guarded.read
        given = other if token == "other scope" else token
        with guarded.channel(guarded.ports[name]) as channel:
            call: Any = channel.unary_unary(method, None, None)
            with pytest.raises(grpc.RpcError) as caught:
                call(b"", timeout=10, metadata=[("authorization", f"Bearer {given}")])
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_jaegers_queries_are_answered_to_whoever_may_read(guarded: Guarded) -> None:
    """With a certificate and a token that reads, the gRPC query port answers."""
    with guarded.channel(guarded.ports["jaeger_query"]) as channel:
        call: Any = channel.unary_unary(JAEGER_QUERY, None, None)
        metadata = [("authorization", f"Bearer {guarded.read}")]
        assert isinstance(call(b"", timeout=10, metadata=metadata), bytes)


def test_telling_a_change_takes_a_token_that_may_send(guarded: Guarded) -> None:
    """Whoever may only read adds nothing, not even a line among the changes."""
    url = f"https://127.0.0.1:{guarded.service.api_port}/api/v1/changes"
    body = {"service": "orders", "value": "1.4.3"}
    with guarded.http() as client:
        assert client.post(url, json=body, headers=bearer(guarded.read)).status_code == 401
        # a route also takes its path with a line break behind it
        behind = client.post(f"{url}%0A", json=body, headers=bearer(guarded.read))
        assert behind.status_code == 401
        assert client.post(url, json=body, headers=bearer(guarded.ingest)).status_code == 201
        assert client.get(url, headers=bearer(guarded.ingest)).status_code == 401


def test_tokens_come_and_go_without_a_restart(guarded: Guarded) -> None:
    """An entry that is added opens the door, one that is taken out closes it, broken ones stay."""
    before = guarded.token_file.read_text()
    secret, entry = make_token("temp", ["admin"])
    url = guarded.urls()["api"]
    with guarded.http() as client:

        def status() -> int:
            return client.get(url, headers=bearer(secret)).status_code

        assert status() == 401
        guarded.token_file.write_text(f"{before}\n{entry}\n")
        until(lambda: status() == 200)
        guarded.token_file.write_text("[broken")
        time.sleep(1.2)
        assert status() == 200
        guarded.token_file.write_text(before)
        until(lambda: status() == 401)
        assert client.get(url, headers=bearer(guarded.read)).status_code == 200
    assert secret not in guarded.service.log.read_text()


def test_certificate_is_read_again(guarded: Guarded) -> None:
    """A renewed certificate is shown to new connections of HTTP and gRPC, without a restart."""
    context = ssl.create_default_context(cafile=str(guarded.authority.certificate))
    context.load_cert_chain(guarded.client.certificate, guarded.client.key)

    def shown(port: int) -> str:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            found: Any = secure.getpeercert()
            return str(found["serialNumber"])

    ports = [guarded.ports[name] for name in ("ingest", "api", "otlp_grpc")]
    old = {port: shown(port) for port in ports}
    renewed = guarded.authority.issue("renewed")
    shutil.copy(renewed.key, guarded.certificate.key)
    time.sleep(1.2)  # half of the pair is there, and must not break anything
    assert {port: shown(port) for port in ports} == old
    shutil.copy(renewed.certificate, guarded.certificate.certificate)
    until(lambda: all(shown(port) != old[port] for port in ports))


def test_health_check_of_a_container_speaks_tls(guarded: Guarded) -> None:
    """The command that containers run asks over TLS as well."""
    command = [sys.executable, "-m", "collector.cli.healthy"]
    done = subprocess.run(command, env=guarded.service.environment, timeout=60, check=False)
    assert done.returncode == 0
