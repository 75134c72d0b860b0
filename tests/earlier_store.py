"""
Data folders of earlier versions, kept so that later ones can be held to reading them.

`python -m tests.earlier_store` packs what the checked-out version makes of the segments below into
`tests/fixtures/store/VERSION.tar.xz`: run it on the commit that is released, before its schema
changes. The folder is the embedded store that `hopline serve` leaves behind, loaded over two days
of reception, so that it has several partitions.
"""

import tarfile
import tempfile
from pathlib import Path

from collector import __version__
from collector.model import GatewayRecord, Id, Span, SpanEvent, SpanLink, Stream
from collector.store import open_store
from collector.telemetry import Metrics
from tests.manual_clock import ManualClock
from tests.metric_messages import gateway_request
from tests.stored import (
    NOW_NS,
    NS,
    Loading,
    any_value,
    encode_log,
    make_record,
    make_span,
    span_id,
    store_settings,
    trace_id,
)

FOLDER = Path(__file__).parent / "fixtures" / "store"
_DAY_NS = 86_400 * NS


def spans() -> list[Span]:
    """Return the spans of three traces, all fields used."""
    return [
        make_span(
            number,
            trace=trace,
            service=service,
            parent_span_id="" if number == 10 * trace else span_id(10 * trace),
            kind="Server" if number == 10 * trace else "Client",
            trace_state="vendor=1",
            status="Error" if trace == 2 else "Ok",
            status_message="no stock" if trace == 2 else "",
            scope="earlier",
            attributes={
                "http.request.method": "GET",
                "http.response.status_code": "500" if trace == 2 else "200",
                "url.path": f"/orders/{trace}",
                "guid:x-request-id": f"earlier-request-{trace}",
            },
            resource={"host.name": f"node-{trace}"},
            events=[SpanEvent(NOW_NS - 59 * NS, "retry", {"attempt": "2"})],
            links=[SpanLink(trace_id(90), span_id(90), {"why": "batch"})],
        )
        for trace in (1, 2, 3)
        for number, service in ((10 * trace, "edge"), (10 * trace + 1, "orders"))
    ]


def records() -> list[GatewayRecord]:
    """Return a record joined by its trace id, one joined by a request id, and one without spans."""
    full = make_record(
        1,
        trace_id=trace_id(1),
        trace_id_source="traceparent",
        parent_span_id=span_id(7),
        is_sampled=True,
        ids=(Id("x_request_id", "earlier-request-1"), Id("correlation_id", "")),
        client_ns=1_000_000,
        gateway_ns=2_000_000,
        cache_ns=0,
        backend_ns=26_000_000,
        api_revision="4",
        operation="get-order",
        product="starter",
        consumer="shop",
        region="west",
        backend_status=200,
        attempts=2,
        request_bytes=10,
        response_bytes=2_000,
        quality=("STREAMING",),
        attributes={"note": "näh ✓"},
        raw='{"é": 1}',
        weight=0.5,
    )
    by_id = make_record(
        2, ids=(Id("x_request_id", "earlier-request-2"),), status=500, is_error=True
    )
    return [full, by_id, make_record(3, status=None, duration_ns=None)]


def make(folder: Path) -> None:
    """Load everything into an embedded store in *folder*."""
    store = open_store(store_settings(folder), ManualClock(NOW_NS), Metrics())
    store.migrate()
    with tempfile.TemporaryDirectory() as segments:
        load = Loading(store, Path(segments))
        load.records(*records())
        load.spans(*spans())
        load.spans(*spans()[:2], received_ns=NOW_NS + _DAY_NS)
        load.messages(
            Stream.LOG,
            encode_log(
                time_unix_nano=NOW_NS,
                trace_id=bytes.fromhex(trace_id(1)),
                severity_text="WARN",
                body=any_value("out of stock"),
                resource={"service.name": "orders"},
            ),
        )
        load.messages(Stream.METRIC, gateway_request().SerializeToString())
    store.close()


def pack() -> Path:
    """Write the fixture of the checked-out version, and return its path."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{__version__}.tar.xz"
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        with tarfile.open(path, "w:xz") as archive:
            archive.add(Path(folder) / "chdb", "chdb", filter=_without_owner)
    return path


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    print(pack())
