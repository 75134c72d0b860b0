-- One row per span out of landing_trace.
-- Each nesting level is unfolded in its own subquery, so that a level carries only what the next one needs.
-- Source: opentelemetry-collector-contrib clickhouseexporter (kind and status words, values as text).
{% from "macros/otlp.sql" import attribute_map, hex_id, moment %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.landing_trace_mv {{ on_cluster }}
TO {{ database }}.otel_traces AS
SELECT
    {{ moment("s.start_time_unix_nano") }} AS Timestamp,
    {{ hex_id("s.trace_id") }} AS TraceId,
    {{ hex_id("s.span_id") }} AS SpanId,
    {{ hex_id("s.parent_span_id") }} AS ParentSpanId,
    s.trace_state AS TraceState,
    s.name AS SpanName,
    transform(s.kind, [1, 2, 3, 4, 5],
        ['Internal', 'Server', 'Client', 'Producer', 'Consumer'], 'Unspecified') AS SpanKind,
    service AS ServiceName,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    {{ attribute_map("s.attributes") }} AS SpanAttributes,
    greatest(s.end_time_unix_nano, s.start_time_unix_nano) - s.start_time_unix_nano AS Duration,
    transform(s.status.code, [1, 2], ['Ok', 'Error'], 'Unset') AS StatusCode,
    s.status.message AS StatusMessage,
    arrayMap(t -> {{ moment("t") }}, s.events.time_unix_nano) AS `Events.Timestamp`,
    s.events.name AS `Events.Name`,
    arrayMap(a -> {{ attribute_map("a") }}, s.events.attributes) AS `Events.Attributes`,
    arrayMap(i -> {{ hex_id("i") }}, s.links.trace_id) AS `Links.TraceId`,
    arrayMap(i -> {{ hex_id("i") }}, s.links.span_id) AS `Links.SpanId`,
    s.links.trace_state AS `Links.TraceState`,
    arrayMap(a -> {{ attribute_map("a") }}, s.links.attributes) AS `Links.Attributes`,
    resource AS Resource,
    {{ moment("received_ns") }} AS Received,
    tenant AS Tenant
FROM (
    SELECT s, service, resource, scope_name, scope_version, received_ns, tenant
    FROM (
        SELECT
            service, resource, ss.scope.name AS scope_name, ss.scope.version AS scope_version,
            ss.spans AS spans, received_ns, tenant
        FROM (
            SELECT
                toLowCardinality(attributes['service.name']) AS service,
                toLowCardinality(toJSONString(attributes)) AS resource,
                scope_spans, received_ns, tenant
            FROM (
                SELECT
                    {{ attribute_map("r.resource.attributes") }} AS attributes, r.scope_spans AS scope_spans,
                    received_ns, tenant
                FROM (
                    SELECT r, received_ns, tenant
                    FROM {{ database }}.landing_trace
                    ARRAY JOIN resource_spans AS r
                )
            )
        )
        ARRAY JOIN scope_spans AS ss
    )
    ARRAY JOIN spans AS s
)
