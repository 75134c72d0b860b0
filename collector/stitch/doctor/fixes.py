"""
What to change, ready to paste: one text per rule, and one per gateway product where it differs.

Source: azure-docs set-header-policy.md and api-management-howto-app-insights.md; Istio Telemetry
API reference; Envoy Zipkin and HTTP connection manager configuration; Kong OpenTelemetry plugin;
linkerd2 tracing; OpenTelemetry environment variables.
"""

from collections.abc import Mapping

_APIM_TRACEPARENT = """Send a traceparent with a random parent id from the inbound section:
<set-header name="traceparent" exists-action="skip">
  <value>@("00-" + context.RequestId.ToString("N") + "-"
    + Guid.NewGuid().ToString("N").Substring(16) + "-01")</value>
</set-header>"""
_APIM_W3C = """Set the correlation protocol of the API's diagnostic to W3C:
az rest --method patch --url "<api id>/diagnostics/applicationinsights?api-version=2022-08-01" \\
  --body '{"properties": {"httpCorrelationProtocol": "W3C"}}'
Without Application Insights, send a traceparent by policy:
<set-header name="traceparent" exists-action="skip">
  <value>@("00-" + context.RequestId.ToString("N") + "-"
    + Guid.NewGuid().ToString("N").Substring(16) + "-01")</value>
</set-header>"""
_KONG_W3C = """Enable Kong's tracer and let the OpenTelemetry plugin write W3C headers:
tracing_instrumentations = all            # kong.conf
tracing_sampling_rate = 1.0
config.propagation.extract = [w3c, b3]    # opentelemetry plugin
config.propagation.inject = [w3c]"""
_ISTIO_OTEL = """Use the OpenTelemetry provider in every workload, so that all proxies speak W3C:
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: tracing, namespace: istio-system}
spec:
  tracing:
  - providers: [{name: otel}]
    randomSamplingPercentage: 100"""
_FORWARD = """Forward the trace headers from the incoming request to every outgoing one:
traceparent, tracestate, x-request-id, and b3 or x-b3-* where B3 is used.
With an OpenTelemetry SDK, install the instrumentation of the HTTP client in use and set
OTEL_PROPAGATORS=tracecontext,baggage,b3multi"""
_SAMPLE_ONCE = """Decide once, at the first hop, and let everybody follow the flag:
# mesh: Telemetry without its own percentage for what already carries a decision
spec: {tracing: [{useRequestIdForTraceSampling: false, randomSamplingPercentage: 100}]}
# applications
OTEL_TRACES_SAMPLER=parentbased_traceidratio"""

FIXES: Mapping[str, Mapping[str, str]] = {
    "ZERO_PARENT": {
        "": "Write a random, non-zero parent id into traceparent: receivers drop the header else.",
        "azure-apim": _APIM_TRACEPARENT.replace('"skip"', '"override"'),
    },
    "LEGACY_REQUEST_ID_ONLY": {
        "": "Have the client or the gateway send a W3C traceparent besides Request-Id.",
        "azure-apim": _APIM_W3C,
    },
    "APIM_W3C_OFF": {"": _APIM_W3C},
    "WAIT_POLICY": {
        "": "Give each parallel call a traceparent with the same trace id and its own parent id.",
        "azure-apim": "Inside <wait>, set traceparent on each send-request yourself:\n"
        '<set-header name="traceparent" exists-action="override">\n'
        '  <value>@("00-" + context.RequestId.ToString("N") + "-"\n'
        '    + Guid.NewGuid().ToString("N").Substring(16) + "-01")</value>\n'
        "</set-header>",
    },
    "B3_SINGLE_STALE": {
        "": "Envoy reads b3 and writes X-B3-*: send X-B3-* (multi) instead of b3, or change to "
        f"W3C.\n{_ISTIO_OTEL}",
    },
    "B3_W3C_DISAGREE": {
        "": "Write one format only, or both from the same context: remove the stale one where the "
        f"request enters.\n{_ISTIO_OTEL}",
        "kong": _KONG_W3C,
    },
    "ID_TRUNCATED_64": {
        "": "Switch the 64-bit tracer to 128 bits. Envoy Zipkin: trace_id_128bit: true; Jaeger "
        "clients: JAEGER_TRACEID_128BIT=true; Brave: supportsJoin(false).traceId128Bit(true)",
    },
    "LEADING_ZERO_LOST": {
        "": "Pad trace ids to 32 digits before they are written or logged; the client library "
        "formats them as a number (jaeger-client-python#322 is fixed in later versions).",
    },
    "PHANTOM_PARENT": {
        "": "Let whoever makes the id export its spans, or pass the incoming context on "
        "untouched. OpenTelemetry SDK: set an exporter, or OTEL_SDK_DISABLED=true with a "
        "propagator that only forwards.",
        "kong": _KONG_W3C,
    },
    "SIBLING_NOT_CHILD": {
        "": "The proxy in between must write its own span id into the header it sends. Linkerd: "
        f"update the proxy (linkerd2-proxy#2408). Istio: all workloads on one provider.\n"
        f"{_ISTIO_OTEL}",
    },
    "NEW_ROOT_AT_HOP": {
        "": "The receiver does not read the format that arrives. With OpenTelemetry a mesh reads "
        "traceparent and no B3: let a gateway that sends B3 send W3C (Kong: "
        "config.propagation.inject = [w3c]). Istio with Zipkin ignores "
        "traceparent unless traceContextOption is USE_B3_WITH_W3C_PROPAGATION; better:\n"
        f"{_ISTIO_OTEL}",
    },
    "HEADER_STRIPPED_BY_APP": {"": _FORWARD},
    "SAMPLED_00": {
        "": f"The flag 00 tells everybody behind it not to trace.\n{_SAMPLE_ONCE}",
        "azure-apim": "Raise the sampling of the API's Application Insights diagnostic, or send "
        f"the flag 01 by policy.\n{_APIM_TRACEPARENT}",
    },
    "NON_UUID_REQUEST_ID": {
        "": "Send a UUID as x-request-id, or do not let it decide on sampling:\n"
        "spec: {tracing: [{useRequestIdForTraceSampling: false}]}   # Telemetry",
        "ingress-nginx": 'Let Envoy make the id: proxy-set-headers with X-Request-ID "", or '
        "generate-request-id: false in the ConfigMap.",
    },
    "SERVER_KIND_MISSING": {
        "": "Some of the edge's replicas run without upstream spans. Istio 1.26 and 1.27: "
        "PILOT_SPAWN_UPSTREAM_SPAN_FOR_GATEWAY=true; from 1.28 on, update what is left behind.",
    },
    "WAYPOINT_SILENT": {
        "": "Select the waypoint in a Telemetry resource of its namespace:\n"
        "spec: {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}],\n"
        "  tracing: [{providers: [{name: otel}], randomSamplingPercentage: 100}]}",
    },
    "SAMPLING_MISMATCH": {"": _SAMPLE_ONCE},
    "CLOCK": {
        "": "Run NTP or PTP on the host (chronyc tracking shows its state); in virtual machines "
        "use the host's clock device (ptp_kvm, hv_utils).",
    },
}
