-- One row per log record out of landing_log.
-- A record without its own time takes the observed one, and without that the time it was received.
-- Source: opentelemetry-proto logs.proto (time_unix_nano: "use observed_time_unix_nano if 0").
{% from "macros/otlp.sql" import attribute_map, body_text, hex_id, moment %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.landing_log_mv {{ on_cluster }}
TO {{ database }}.otel_logs AS
SELECT
    {{ moment("multiIf(l.time_unix_nano != 0, l.time_unix_nano, l.observed_time_unix_nano != 0, l.observed_time_unix_nano, received_ns)") }} AS Timestamp,
    {{ hex_id("l.trace_id") }} AS TraceId,
    {{ hex_id("l.span_id") }} AS SpanId,
    toUInt8(l.flags) AS TraceFlags,
    l.severity_text AS SeverityText,
    toUInt8(l.severity_number) AS SeverityNumber,
    service AS ServiceName,
    {{ body_text("l.body") }} AS Body,
    resource_schema_url AS ResourceSchemaUrl,
    scope_schema_url AS ScopeSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    {{ attribute_map("l.attributes") }} AS LogAttributes,
    l.event_name AS EventName,
    resource AS Resource,
    {{ moment("received_ns") }} AS Received,
    tenant AS Tenant
FROM (
    SELECT l, service, resource, resource_schema_url, scope_name, scope_version, scope_attributes, scope_schema_url, received_ns, tenant
    FROM (
        SELECT
            service, resource, resource_schema_url, sl.scope.name AS scope_name, sl.scope.version AS scope_version,
            {{ attribute_map("sl.scope.attributes") }} AS scope_attributes, sl.schema_url AS scope_schema_url,
            sl.log_records AS log_records, received_ns, tenant
        FROM (
            SELECT
                toLowCardinality(attributes['service.name']) AS service,
                toLowCardinality(toJSONString(attributes)) AS resource,
                resource_schema_url, scope_logs, received_ns, tenant
            FROM (
                SELECT
                    {{ attribute_map("r.resource.attributes") }} AS attributes, r.schema_url AS resource_schema_url,
                    r.scope_logs AS scope_logs, received_ns, tenant
                FROM (
                    SELECT r, received_ns, tenant
                    FROM {{ database }}.landing_log
                    ARRAY JOIN resource_logs AS r
                )
            )
        )
        ARRAY JOIN scope_logs AS sl
    )
    ARRAY JOIN log_records AS l
)
