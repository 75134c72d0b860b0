"""
What to change, ready to paste: the texts that several rules share.

Source: azure-docs set-header-policy.md and api-management-howto-app-insights.md; Istio Telemetry
API reference; Envoy Zipkin and HTTP connection manager configuration; Kong OpenTelemetry plugin;
linkerd2 tracing; OpenTelemetry environment variables.
"""

APIM_TRACEPARENT = """Send a traceparent with a random parent id from the inbound section:
<set-header name="traceparent" exists-action="skip">
  <value>@("00-" + context.RequestId.ToString("N") + "-"
    + Guid.NewGuid().ToString("N").Substring(16) + "-01")</value>
</set-header>"""
APIM_W3C = """Set the correlation protocol of the API's diagnostic to W3C:
az rest --method patch --url "<api id>/diagnostics/applicationinsights?api-version=2022-08-01" \\
  --body '{"properties": {"httpCorrelationProtocol": "W3C"}}'
Without Application Insights, send a traceparent by policy:
<set-header name="traceparent" exists-action="skip">
  <value>@("00-" + context.RequestId.ToString("N") + "-"
    + Guid.NewGuid().ToString("N").Substring(16) + "-01")</value>
</set-header>"""
KONG_W3C = """Enable Kong's tracer and let the OpenTelemetry plugin write W3C headers:
tracing_instrumentations = all            # kong.conf
tracing_sampling_rate = 1.0
config.propagation.extract = [w3c, b3]    # opentelemetry plugin
config.propagation.inject = [w3c]"""
ISTIO_OTEL = """Use the OpenTelemetry provider in every workload, so that all proxies speak W3C:
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: tracing, namespace: istio-system}
spec:
  tracing:
  - providers: [{name: otel}]
    randomSamplingPercentage: 100"""
LOG_DURATION = """Write the duration into the gateway's access log:
"responseLatency": "$context.responseLatency"   # AWS API Gateway, with integrationLatency
"client.received.start.timestamp", "client.sent.end.timestamp"   # Apigee: both moments"""
FORWARD = """Forward the trace headers from the incoming request to every outgoing one:
traceparent, tracestate, x-request-id, and b3 or x-b3-* where B3 is used.
With an OpenTelemetry SDK, install the instrumentation of the HTTP client in use and set
OTEL_PROPAGATORS=tracecontext,baggage,b3multi"""
SAMPLE_ONCE = """Decide once, at the first hop, and let everybody follow the flag:
# mesh: Telemetry without its own percentage for what already carries a decision
spec: {tracing: [{useRequestIdForTraceSampling: false, randomSamplingPercentage: 100}]}
# applications
OTEL_TRACES_SAMPLER=parentbased_traceidratio"""
ONE_NAME = """Send each span once, under one name: leave one of the two exporters out, or set
the same OTEL_SERVICE_NAME for both; in a Collector, rename in the pipeline that all spans take."""
