"""
A few words in which a test tells a request: services that call each other through proxies.

Times are milliseconds from the request's start, ids count up. Istio's spelling is used for proxies.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.model import GatewayRecord, Id, LogRecord, Span
from collector.stitch.inputs import StitchInputs
from collector.stitch.pipeline import stitch as stitch_inputs
from collector.stitch.timeline import Timeline

MS = 1_000_000
START = 1_750_000_000_000_000_000
TRACE = "7d3c5e0a91b24f6688c0a1d2e3f40516"
LONG_AFTER = START + 86_400_000_000_000
CORRELATION = "2b6f1c0e-5d43-4a8e-9f27-61c8d0e4b3a5"


def stitch(
    records: Sequence[GatewayRecord],
    spans: Sequence[Span],
    logs: Sequence[LogRecord] = (),
    **known: Any,
) -> Timeline:
    """Return the timeline of these rows; *known* are further fields of `StitchInputs`."""
    given = {name: value for name, value in known.items() if value is not None}
    return stitch_inputs(StitchInputs(records=records, spans=spans, logs=logs, **given))


@dataclass
class TraceBuilder:
    """Collects the spans of one trace."""

    trace_id: str = TRACE
    spans: list[Span] = field(default_factory=list)
    prefix: str = "a"

    def span(
        self,
        service: str,
        at: float,
        ms: float,
        parent: Span | str | None = None,
        kind: str = "Internal",
        **more: Any,
    ) -> Span:
        """Add a span of an application."""
        attributes = dict(more.pop("attributes", {}))
        resource = {"service.name": service, **more.pop("resource", {})}
        added = Span(
            trace_id=self.trace_id,
            span_id=more.pop("span_id", f"{self.prefix}{len(self.spans) + 1:015x}"),
            parent_span_id=parent.span_id if isinstance(parent, Span) else parent or "",
            name=more.pop("name", f"{service} {kind.lower()}"),
            service=service,
            start_ns=START + int(at * MS),
            end_ns=START + int(at * MS) + int(ms * MS),
            kind=kind,
            status=more.pop("status", "Unset"),
            attributes=attributes,
            resource=resource,
            received_ns=more.pop("received_ns", START + 5_000_000_000),
            **more,
        )
        self.spans.append(added)
        return added

    def edge(self, at: float, ms: float, parent: Span | str | None = None, **more: Any) -> Span:
        """Add the server span of the mesh's ingress gateway."""
        return self.proxy("istio-ingressgateway", "router", at, ms, parent, "Server", **more)

    def sidecar_out(
        self, caller: str, callee: str, at: float, ms: float, parent: Span | None, **more: Any
    ) -> Span:
        """Add the client span of the caller's sidecar."""
        cluster = f"outbound|8080||{callee}.shop.svc.cluster.local"
        kind = more.pop("node_kind", "sidecar")
        return self.proxy(caller, kind, at, ms, parent, "Client", cluster=cluster, **more)

    def sidecar_in(
        self, service: str, at: float, ms: float, parent: Span | str | None, **more: Any
    ) -> Span:
        """Add the server span of the callee's sidecar."""
        return self.proxy(
            service, "sidecar", at, ms, parent, "Server", cluster="inbound|8080||", **more
        )

    def proxy(
        self,
        service: str,
        node_kind: str,
        at: float,
        ms: float,
        parent: Span | str | None,
        kind: str,
        *,
        cluster: str = "",
        code: int = 200,
        flags: str = "-",
        request_id: str = "",
        **more: Any,
    ) -> Span:
        """Add a span of an Envoy in Istio's spelling: every attribute is text."""
        pod = f"{service}-6d9f7c5b84-abcde"
        attributes = {
            "component": "proxy",
            "node_id": f"{node_kind}~10.1.2.3~{pod}.shop~shop.svc.cluster.local",
            "http.status_code": str(code),
            "http.method": "GET",
            "response_flags": flags,
            "upstream_cluster": cluster,
            "istio.canonical_service": service,
            **({"guid:x-request-id": request_id} if request_id else {}),
            **more.pop("attributes", {}),
        }
        return self.span(f"{service}.shop", at, ms, parent, kind, attributes=attributes, **more)

    def visit(
        self, caller: str, service: str, at: float, ms: float, parent: Span | None, **more: Any
    ) -> Span:
        """Add one call through both sidecars into an application; returns the application span."""
        code = more.pop("code", 200)
        out = self.sidecar_out(caller, service, at, ms, parent, code=code)
        inward = self.sidecar_in(service, at + 0.5, ms - 1, out, code=code)
        status = "Error" if code >= 500 else "Unset"
        return self.span(
            service,
            at + 1,
            ms - 2,
            inward,
            "Server",
            status=status,
            attributes={"http.response.status_code": str(code)},
            resource={"k8s.pod.name": f"{service}-6d9f7c5b84-abcde"},
            **more,
        )


def record(**more: Any) -> GatewayRecord:
    """Return a record of API Management; times in milliseconds as `total`, `backend`, …"""
    times = {
        f"{field_name}_ns": int(more.pop(name) * MS)
        for name, field_name in (
            ("total", "duration"),
            ("backend", "backend"),
            ("client", "client"),
            ("cache_time", "cache"),
        )
        if name in more
    }
    at = more.pop("at", 0)
    defaults: dict[str, Any] = {
        "gateway": "azure-apim",
        "record_id": CORRELATION,
        "source": "ApiManagementGatewayLogs",
        "instance": "shop-apim",
        "start_ns": START + int(at * MS),
        "ids": (Id("apim_correlation_id", CORRELATION),),
        "method": "GET",
        "status": 200,
        "received_ns": START + 240_000_000_000,
    }
    return GatewayRecord(**{**defaults, **times, **more})


def shop_request() -> tuple[GatewayRecord, TraceBuilder]:
    """A record and the eight spans behind it: edge, orders, payments and its database."""
    trace = TraceBuilder()
    edge = trace.edge(20, 80, "c0ffee0000000001")
    out = trace.sidecar_out("istio-ingressgateway", "orders", 21, 78, edge, node_kind="router")
    inward = trace.sidecar_in("orders", 22, 76, out)
    orders = trace.span("orders", 23, 74, inward, "Server")
    client = trace.span("orders", 30, 50, orders, "Client", name="GET /pay")
    payments = trace.visit("orders", "payments", 31, 48, client)
    trace.span(
        "payments",
        40,
        25,
        payments,
        "Client",
        name="SELECT",
        attributes={"db.system": "postgresql"},
    )
    known = record(
        total=120, backend=90, client=10, trace_id=TRACE, outgoing_span_id="c0ffee0000000001"
    )
    return known, trace
