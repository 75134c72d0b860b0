"""
Java's senders, whose HTTP client offers h2c with every request to a plain-text port.

The programs are in `tests/doubles/java`; the libraries come from Maven. Where there is no Java, or
no Maven repository to get them from, a test is skipped and says so.
"""

import asyncio
import json
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from collector.clock import SystemClock
from collector.model import Stream
from tests.doubles.java_jars import (
    JOBS,
    SPRING_BOOT,
    JarsUnavailableError,
    compile_java,
    obtain_opentelemetry,
    obtain_spring_boot,
    spring_arguments,
)
from tests.ingest import (
    NOW_NS,
    journaled_items,
    journaled_records,
    make_request,
    make_span,
    open_ingest,
)
from tests.mesh_doors import open_doors, zipkin_body

_LIMIT_S = 180
_JOB_NAMES = sorted(f"job-{number}" for number in range(JOBS))


async def run_java(
    program: str,
    arguments: Sequence[str],
    work: Path,
    obtain: Callable[[], Path | None] = lambda: None,
) -> str:
    """Compile a program, run it and return what it printed, or skip the test."""
    try:
        command = compile_java(program, work, obtain())
    except JarsUnavailableError as exc:
        pytest.skip(str(exc))
    process = await asyncio.create_subprocess_exec(
        *command, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
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
        printed = await run_java("HttpClientSender", sends, tmp_path)
        statuses = [line.split()[0] for line in printed.splitlines() if line[:3].isdigit()]
        assert statuses == ["200", "200", "202", "200"] * 2
        assert len(journaled_items(ingest.journal, Stream.TRACE)) == 200  # the second is a resend
        assert len(journaled_records(ingest.journal)) == 1
        assert len(doors.spans()) == 5


@pytest.mark.parametrize("version", SPRING_BOOT)
async def test_spring_boot_zipkin_reporter(tmp_path: Path, version: str) -> None:
    """Spring Boot's own Zipkin reporter, in both of its generations, loses no span."""
    async with open_doors(tmp_path / "data", SystemClock()) as doors:
        arguments = spring_arguments(doors.zipkin)
        await run_java("SpringReporter", arguments, tmp_path, partial(obtain_spring_boot, version))
        assert sorted(span["name"] for span in doors.spans()) == _JOB_NAMES


async def test_opentelemetry_java_with_the_jdk_sender(tmp_path: Path) -> None:
    """OpenTelemetry's Java exporter on the JDK's client loses no span."""
    async with open_ingest(tmp_path / "data", SystemClock()) as ingest:
        arguments = [f"{ingest.url}/v1/traces"]
        await run_java("OtelJdkSender", arguments, tmp_path, obtain_opentelemetry)
        names = sorted(span.name for span in journaled_items(ingest.journal, Stream.TRACE))
        assert names == _JOB_NAMES
