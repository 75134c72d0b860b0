CREATE TABLE IF NOT EXISTS hopline.landing_trace ON CLUSTER mesh (
    resource_spans Array(Tuple(
        resource Tuple(attributes Array(Tuple(key LowCardinality(String), value String))),
        scope_spans Array(Tuple(
            scope Tuple(name String, version String),
            spans Array(Tuple(
                trace_id String, span_id String, trace_state String, parent_span_id String,
                name LowCardinality(String), kind Int32,
                start_time_unix_nano UInt64, end_time_unix_nano UInt64,
                attributes Array(Tuple(key LowCardinality(String), value String)),
                events Array(Tuple(
                    time_unix_nano UInt64, name LowCardinality(String), attributes Array(Tuple(key LowCardinality(String), value String)))),
                links Array(Tuple(
                    trace_id String, span_id String, trace_state String, attributes Array(Tuple(key LowCardinality(String), value String)))),
                status Tuple(message String, code Int32)
            ))
        ))
    )),
    received_ns UInt64,
    door LowCardinality(String),
    tenant LowCardinality(String)
)
ENGINE = Null
