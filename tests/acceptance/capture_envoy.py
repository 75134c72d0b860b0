"""
Keep what real Envoys and OpenTelemetry SDKs send for each topology, as fixtures.

`python -m tests.acceptance.capture_envoy [topology …]` writes a `tests/fixtures/envoy/*.json` each
with the request that was sent, OTLP/JSON traces and logs, Zipkin v2 JSON, and in base64 the bodies
of Zipkin's protobuf.
"""

import base64
import json
import secrets
import sys
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from collector.demo.mesh import Mesh
from tests.acceptance.mesh_sink import Json, Sink
from tests.acceptance.mesh_topologies import BATTLES, Battle

FOLDER = Path(__file__).parents[1] / "fixtures" / "envoy"


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as the client sent it, with what came back."""

    trace_id: str
    span_id: str
    headers: dict[str, str]
    status: int


def send(url: str, carrier: str, patience_s: float) -> Sent:
    """Send one request with a fresh trace context; status 0 means no answer in time."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    if carrier == "b3-multi-64":
        trace_id = trace_id[16:].rjust(32, "0")
    b3 = {"x-b3-traceid": trace_id, "x-b3-spanid": span_id, "x-b3-sampled": "1"}
    headers = {
        "traceparent": {"traceparent": f"00-{trace_id}-{span_id}-01"},
        "b3-multi": b3,
        "b3-multi-64": b3 | {"x-b3-traceid": trace_id[16:]},
    }[carrier]
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=patience_s) as response:
            status = response.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except OSError:
        status = 0
    return Sent(trace_id, span_id, headers, status)


def fight(battle: Battle, sink: Sink, folder: Path) -> Sent:
    """
    Run a topology into a sink until all its telemetry has arrived; return the last request.

    What arrived of earlier requests is dropped, so that the sink holds the last one alone.
    """
    with Mesh(battle.topology, sink.collectors, folder) as mesh:
        url = mesh.gateway_url + battle.path
        for _ in range(battle.times - 1):
            send(url, battle.carrier, battle.patience_s)
            sink.wait_for(lambda: sink.span_count() >= battle.spans)
            sink.wait_until_quiet()
            sink.clear()
        sent = send(url, battle.carrier, battle.patience_s)
        sink.wait_for(lambda: sink.span_count() >= battle.spans and sink.log_count() >= battle.logs)
        sink.wait_until_quiet()
    return sent


def main() -> None:
    """Capture the topologies named on the command line, or all."""
    FOLDER.mkdir(exist_ok=True)
    for battle in BATTLES:
        name = battle.topology.name
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        sink = Sink()
        with tempfile.TemporaryDirectory() as folder:
            sent = fight(battle, sink, Path(folder))
        sink.close()
        counts = (sent.status, sink.span_count(), sink.log_count())
        print(f"{name}: status, spans, logs = {counts}", flush=True)
        if counts != (battle.status, battle.spans, battle.logs):
            raise SystemExit(f"expected {(battle.status, battle.spans, battle.logs)}")
        (FOLDER / f"{name}.json").write_text(_render(battle, sent, sink))


def _render(battle: Battle, sent: Sent, sink: Sink) -> str:
    request: Json = {"path": battle.path, "headers": sent.headers, "status": sent.status}
    parts: Json = {
        "topology": battle.topology.name,
        "shows": battle.shows,
        "request": request,
        "traces": sink.traces_as_json(),
        "logs": sink.logs_as_json(),
        "zipkin": sink.zipkin,
        "zipkin_protobuf": [base64.b64encode(body).decode() for body in sink.zipkin_protobuf],
    }
    lines = [f'"{name}": {_one_per_line(value)}' for name, value in parts.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _one_per_line(value: object) -> str:
    """Write JSON with each span, log record or group on a line, for a readable diff."""
    if isinstance(value, dict) and len(value) == 1:
        [(name, items)] = value.items()
        if isinstance(items, list):
            return f'{{"{name}": {_one_per_line(items)}}}'
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
