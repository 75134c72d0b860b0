"""
Wrong clocks and lost spans: OTLP on its way to Hopline, with the spans of some services changed.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as services


@dataclass(frozen=True, slots=True)
class Distortion:
    """
    What happens to the spans of one service: its clock is *offset_ms* ahead.

    *stretch_ms* is added to its server spans, and those of *lost_kind* never arrive. *is_id_cut*:
    they arrive under the last half of their trace id.
    """

    offset_ms: int = 0
    stretch_ms: int = 0
    lost_kind: Literal["", "server", "client"] = ""
    is_id_cut: bool = False


class DistortingForwarder(services.TraceServiceServicer):
    """
    Receives spans over gRPC and passes them on.

    *distortions* are by service: `ahead` covers the application `ahead` and the proxy `ahead.shop`.
    """

    def __init__(self, target_port: int, distortions: Mapping[str, Distortion]) -> None:
        self._distortions = distortions
        self._channel = grpc.insecure_channel(f"127.0.0.1:{target_port}")
        self._stub = services.TraceServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._server = grpc.server(ThreadPoolExecutor(4))
        services.add_TraceServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]  # generated
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self) -> None:
        """Take no more spans."""
        self._server.stop(None).wait()
        self._channel.close()

    def Export(  # noqa: N802 - the name of the RPC
        self, request: messages.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> messages.ExportTraceServiceResponse:
        """Change the spans of services with a distortion and pass all on."""
        for group in request.resource_spans:
            names = [a.value.string_value for a in group.resource.attributes if a.key == _NAME]
            found = self._distortions.get(names[0].partition(".")[0]) if names else None
            if found is not None:
                for scope in group.scope_spans:
                    _distort(scope.spans, found)
        answer: messages.ExportTraceServiceResponse = self._stub.Export(request, timeout=10)
        return answer


def _distort(spans: Any, distortion: Distortion) -> None:
    offset_ns = distortion.offset_ms * 1_000_000
    for span in spans:
        span.start_time_unix_nano += offset_ns
        span.end_time_unix_nano += offset_ns
        if distortion.is_id_cut:
            span.trace_id = bytes(8) + span.trace_id[8:]
        if span.kind == _KINDS["server"]:
            span.end_time_unix_nano += distortion.stretch_ms * 1_000_000
        for event in span.events:
            event.time_unix_nano += offset_ns
    lost = _KINDS.get(distortion.lost_kind)
    kept = [span for span in spans if span.kind != lost]
    del spans[:]
    spans.extend(kept)


_NAME = "service.name"
_KINDS = {"server": 2, "client": 3}
