"""Bombs and floods: refused or taken, but never for more than 200 MiB."""

import asyncio
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import cramjam
import httpx
import lz4.frame
import pytest
import zstandard

from collector.decode.protobuf.split import write_field
from tests.ingest import make_request, make_span
from tests.ingest_process import IngestProcess, run_ingest_process
from tests.otlp_senders import GrpcSender, HttpSender

_ALLOWED_MIB = 200
_BOMB_BYTES = 1 << 29
# within the cap, so that it is inflated whole
_TAKEN_BYTES = 60 << 20
_STEP = bytes(1 << 22)


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[IngestProcess]:
    with run_ingest_process(tmp_path) as started:
        yield started


def gzip_bomb(size: int) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=6) as file:
        for _ in range(size // len(_STEP)):
            file.write(_STEP)
    return out.getvalue()


def deflate_bomb(size: int) -> bytes:
    packer = zlib.compressobj()
    return b"".join([packer.compress(_STEP) for _ in range(size // len(_STEP))]) + packer.flush()


def zstd_bomb(size: int) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join([packer.compress(_STEP) for _ in range(size // len(_STEP))]) + packer.flush()


def lz4_bomb(size: int) -> bytes:
    with lz4.frame.LZ4FrameCompressor() as packer:
        begin = packer.begin()
        steps = [packer.compress(_STEP) for _ in range(size // len(_STEP))]
        return b"".join([begin, *steps, packer.flush()])


def snappy_bomb(size: int) -> bytes:
    step = bytes(cramjam.snappy.compress(_STEP))
    return step * (size // len(_STEP))


@pytest.mark.parametrize(
    ("encoding", "build"),
    [
        ("gzip", gzip_bomb),
        ("deflate", deflate_bomb),
        ("zstd", zstd_bomb),
        ("lz4", lz4_bomb),
        ("snappy", snappy_bomb),
    ],
)
async def test_bomb_over_http(ingest: IngestProcess, encoding: str, build: object) -> None:
    """A body that would become 512 MiB is 413 and costs less than 200 MiB."""
    assert callable(build)
    bomb = build(_BOMB_BYTES)
    before = ingest.resident_mib()
    answer = await HttpSender().send(ingest, bomb, headers={"content-encoding": encoding})
    assert (answer.http_status, answer.retry_s) == (413, None)
    assert ingest.peak_mib() - before < _ALLOWED_MIB


def snappy_block(size: int) -> bytes:
    return bytes(cramjam.snappy.compress_raw(bytes(size)))


@pytest.mark.parametrize(
    ("encoding", "bomb"),
    [("gzip", gzip_bomb(_BOMB_BYTES)), ("snappy", snappy_block(_TAKEN_BYTES))],
    ids=["gzip", "snappy in one block"],
)
async def test_bombs_at_once_leave_nothing_behind(
    ingest: IngestProcess, encoding: str, bomb: bytes
) -> None:
    """Eight bombs at once cost no more than one may, and soon afterwards nothing at all."""
    before = ingest.resident_mib()
    async with httpx.AsyncClient(timeout=120) as client:
        answers = await asyncio.gather(*(
            client.post(
                f"{ingest.url}/v1/traces",
                content=bomb,
                headers={"content-type": "application/x-protobuf", "content-encoding": encoding},
            )
            for _ in range(8)
        ))  # fmt: skip
    assert {answer.status_code for answer in answers} <= {400, 413, 429}
    assert ingest.peak_mib() - before < _ALLOWED_MIB
    async with asyncio.timeout(60):
        while ingest.resident_mib() - before > 60:
            await asyncio.sleep(0.1)


async def test_bomb_over_grpc(ingest: IngestProcess) -> None:
    """The same inside a gRPC message: RESOURCE_EXHAUSTED without RetryInfo."""
    bomb = gzip_bomb(_BOMB_BYTES)
    before = ingest.resident_mib()
    # a message that is compressed already is sniffed exactly like one that gRPC compressed
    answer = await GrpcSender().send(ingest, bomb)
    assert (answer.code, answer.retry_s) == ("RESOURCE_EXHAUSTED", None)
    assert ingest.peak_mib() - before < _ALLOWED_MIB


async def test_zstd_frame_that_wants_a_huge_window(ingest: IngestProcess) -> None:
    """A frame that asks for a window of 2 GiB is refused before it gets it."""
    frame = b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\x00\x00"
    before = ingest.resident_mib()
    answer = await HttpSender().send(ingest, frame, headers={"content-encoding": "zstd"})
    assert answer.http_status == 400
    assert ingest.peak_mib() - before < _ALLOWED_MIB


async def test_a_million_attributes(ingest: IngestProcess) -> None:
    """A span with a million attributes is taken with 1024 of them, for less than 200 MiB."""
    attributes = b"".join(b"\x4a\x0f\x0a\x08k%07d\x12\x03\x0a\x01v" % n for n in range(1_000_000))
    span = make_span(1, attributes=[]).SerializeToString() + attributes
    body = write_field(1, write_field(2, write_field(2, span)))
    before = ingest.resident_mib()
    answer = await HttpSender().send(ingest, body)
    assert (answer.code, answer.rejected) == ("OK", 0)
    assert "left out" in answer.message
    assert ingest.peak_mib() - before < _ALLOWED_MIB


@pytest.mark.parametrize("unit", [b"\x0a\x00", b"\x12\x00"])
async def test_thirty_million_empty_groups(ingest: IngestProcess, unit: bytes) -> None:
    """60 MB of two-byte messages, which objects would make thirty times as large, are refused."""
    body = unit * 30_000_000
    if unit == b"\x12\x00":
        body = write_field(1, body)
    before = ingest.resident_mib()
    async with httpx.AsyncClient(timeout=120) as client:
        response = await client.post(
            f"http://127.0.0.1:{ingest.http_port}/v1/traces",
            content=body,
            headers={"content-type": "application/x-protobuf"},
        )
    assert response.status_code == 400
    assert ingest.peak_mib() - before < _ALLOWED_MIB


async def test_small_requests_are_answered_while_a_bomb_is_handled(ingest: IngestProcess) -> None:
    """Nobody waits for somebody else's bomb."""
    bomb = gzip_bomb(_BOMB_BYTES)
    async with httpx.AsyncClient(timeout=60) as client:
        url = f"http://127.0.0.1:{ingest.http_port}/v1/traces"
        headers = {"content-type": "application/x-protobuf"}
        refused = await client.post(
            url, content=bomb, headers=headers | {"content-encoding": "gzip"}
        )
        taken = await client.post(url, content=make_request(make_span(1)), headers=headers)
    assert (refused.status_code, taken.status_code) == (413, 200)
