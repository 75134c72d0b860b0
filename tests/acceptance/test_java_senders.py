"""
Java's senders, whose HTTP client offers h2c with every request to a plain-text port.

The programs are in `tests/doubles/java`; the libraries come from Maven. Where there is no Java, or
no Maven repository to get them from, a test is skipped and says so.
"""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from collector.clock import SystemClock
from collector.model import Stream
from tests.doubles.java_jars import JarsUnavailableError, obtain_jars
from tests.ingest import (
    NOW_NS,
    journaled_items,
    journaled_records,
    make_request,
    make_span,
    open_ingest,
)
from tests.mesh_doors import open_doors, zipkin_body

_PROGRAMS = Path(__file__).parents[1] / "doubles" / "java"
_JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
_OTEL = "1.49.0"
_SPRING = {
    "3.5.0": (
        "org.springframework.boot:spring-boot-starter-actuator",
        "io.micrometer:micrometer-tracing-bridge-brave",
        "io.zipkin.reporter2:zipkin-reporter-brave",
    ),
    "4.0.0": ("org.springframework.boot:spring-boot-starter-zipkin",),
}
_LIMIT_S = 180


def jars(name: str, *dependencies: str, bom: str = "") -> Path:
    """Return the folder of a program's libraries, or skip the test."""
    try:
        return obtain_jars(name, dependencies, bom)
    except JarsUnavailableError as exc:
        pytest.skip(str(exc))


async def run_java(program: str, *arguments: str, libraries: Path | None, work: Path) -> str:
    """Compile a program, run it and return what it printed."""
    if shutil.which("javac") is None:
        pytest.skip("there is no Java here")
    path = f"{work}:{libraries}/*" if libraries else str(work)
    source = str(_PROGRAMS / f"{program}.java")
    subprocess.run(["javac", "-proc:none", "-cp", path, "-d", str(work), source], check=True)
    command = [*_JAVA, "-cp", path, program, *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(_LIMIT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, output.decode()[-3000:]
    return output.decode()


async def test_jdk_http_client(tmp_path: Path) -> None:
    """What the JDK's own client posts to each kind of door is stored, also on one connection."""
    trace, kong, zipkin = tmp_path / "trace", tmp_path / "kong", tmp_path / "zipkin"
    trace.write_bytes(make_request(*(make_span(number) for number in range(200))))
    fixture = json.loads(Path("tests/fixtures/gateways/kong.json").read_text())["cases"][0]
    kong.write_text(json.dumps(fixture["body"] | {"started_at": NOW_NS // 1_000_000}))
    zipkin.write_bytes(zipkin_body(count=5))
    async with open_ingest(tmp_path / "a") as ingest, open_doors(tmp_path / "b") as doors:
        sends: list[str] = []
        for _ in range(2):
            sends += ["application/x-protobuf", f"{ingest.url}/v1/traces", str(trace)]
            sends += ["application/json", f"{ingest.url}/v1/gateway/kong", str(kong)]
            sends += ["application/json", doors.zipkin, str(zipkin)]
            sends += ["text/plain", f"{ingest.url}/healthz", ""]
        printed = await run_java("HttpClientSender", *sends, libraries=None, work=tmp_path)
        statuses = [line.split()[0] for line in printed.splitlines() if line[:3].isdigit()]
        assert statuses == ["200", "200", "202", "200"] * 2
        assert len(journaled_items(ingest.journal, Stream.TRACE)) == 200  # the second is a resend
        assert len(journaled_records(ingest.journal)) == 1
        assert len(doors.spans()) == 5


@pytest.mark.parametrize("version", _SPRING)
async def test_spring_boot_zipkin_reporter(tmp_path: Path, version: str) -> None:
    """Spring Boot's own Zipkin reporter, in both of its generations, loses no span."""
    bom = f"org.springframework.boot:spring-boot-dependencies:{version}"
    libraries = jars(f"spring-boot-{version}-zipkin", *_SPRING[version], bom=bom)
    async with open_doors(tmp_path / "data", SystemClock()) as doors:
        settings = (
            "spring.main.web-application-type=none",
            "spring.application.name=jobs",
            "management.tracing.sampling.probability=1.0",
            f"management.zipkin.tracing.endpoint={doors.zipkin}",
            f"management.tracing.export.zipkin.endpoint={doors.zipkin}",
        )
        arguments = [f"--{setting}" for setting in settings]
        await run_java("SpringReporter", *arguments, libraries=libraries, work=tmp_path)
        names = sorted(span["name"] for span in doors.spans())
        assert names == sorted(f"job-{number}" for number in range(20))


async def test_opentelemetry_java_with_the_jdk_sender(tmp_path: Path) -> None:
    """OpenTelemetry's Java exporter on the JDK's client loses no span."""
    libraries = jars(
        f"opentelemetry-jdk-sender-{_OTEL}",
        f"io.opentelemetry:opentelemetry-sdk:{_OTEL}",
        f"io.opentelemetry:opentelemetry-exporter-otlp:{_OTEL}",
        f"io.opentelemetry:opentelemetry-exporter-sender-jdk:{_OTEL}",
    )
    for other in libraries.glob("opentelemetry-exporter-sender-okhttp-*.jar"):
        other.unlink()  # with both on the path the SDK takes this one
    async with open_ingest(tmp_path / "data", SystemClock()) as ingest:
        url = f"{ingest.url}/v1/traces"
        await run_java("OtelJdkSender", url, libraries=libraries, work=tmp_path)
        names = sorted(span.name for span in journaled_items(ingest.journal, Stream.TRACE))
        assert names == sorted(f"job-{number}" for number in range(20))
