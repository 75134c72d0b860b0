"""
Wrong clocks: OTLP on its way to Hopline, with the spans of some services moved in time.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as services


class ShiftingForwarder(services.TraceServiceServicer):
    """
    Receives spans over gRPC and passes them on.

    *offsets_ms* are by service: `ahead` covers the application `ahead` and the proxy `ahead.shop`.
    """

    def __init__(self, target_port: int, offsets_ms: Mapping[str, int]) -> None:
        self._offsets_ms = offsets_ms
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
        """Move the spans of services with a wrong clock and pass all on."""
        for group in request.resource_spans:
            names = [a.value.string_value for a in group.resource.attributes if a.key == _NAME]
            offset_ms = self._offsets_ms.get(names[0].partition(".")[0], 0) if names else 0
            for span in (span for scope in group.scope_spans for span in scope.spans):
                span.start_time_unix_nano += offset_ms * 1_000_000
                span.end_time_unix_nano += offset_ms * 1_000_000
                for event in span.events:
                    event.time_unix_nano += offset_ms * 1_000_000
        answer: messages.ExportTraceServiceResponse = self._stub.Export(request, timeout=10)
        return answer


_NAME = "service.name"
