-- Where log segments land: the shape of an ExportLogsServiceRequest, keeping nothing (engine Null).
-- Source: opentelemetry-proto v1.11.0 logs.proto, read through wire/landing_log.proto.
{% from "macros/otlp.sql" import attribute_list %}
CREATE TABLE IF NOT EXISTS {{ database }}.landing_log {{ on_cluster }} (
    resource_logs Array(Tuple(
        resource Tuple(attributes {{ attribute_list() }}),
        schema_url LowCardinality(String),
        scope_logs Array(Tuple(
            scope Tuple(name String, version String, attributes {{ attribute_list() }}),
            schema_url LowCardinality(String),
            log_records Array(Tuple(
                time_unix_nano UInt64, observed_time_unix_nano UInt64,
                severity_number Int32, severity_text LowCardinality(String),
                body String,
                attributes {{ attribute_list() }},
                flags UInt32, trace_id String, span_id String, event_name String
            ))
        ))
    )),
    received_ns UInt64,
    door LowCardinality(String),
    tenant LowCardinality(String)
)
ENGINE = Null
