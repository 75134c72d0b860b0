CREATE TABLE IF NOT EXISTS hopline.landing_log ON CLUSTER mesh (
    resource_logs Array(Tuple(
        resource Tuple(attributes Array(Tuple(key LowCardinality(String), value String))),
        schema_url LowCardinality(String),
        scope_logs Array(Tuple(
            scope Tuple(name String, version String, attributes Array(Tuple(key LowCardinality(String), value String))),
            schema_url LowCardinality(String),
            log_records Array(Tuple(
                time_unix_nano UInt64, observed_time_unix_nano UInt64,
                severity_number Int32, severity_text LowCardinality(String),
                body String,
                attributes Array(Tuple(key LowCardinality(String), value String)),
                flags UInt32, trace_id String, span_id String, event_name String
            ))
        ))
    )),
    received_ns UInt64,
    door LowCardinality(String),
    tenant LowCardinality(String)
)
ENGINE = Null
