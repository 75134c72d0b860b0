CREATE TABLE IF NOT EXISTS hopline.trace_part  (
    trace_id String,
    start_ns Int64,
    last_start_ns Int64,
    end_ns Int64,
    spans UInt64,
    errors UInt64,
    span_ids AggregateFunction(uniq, UInt64),
    error_ids AggregateFunction(uniq, UInt64),
    services Array(String),
    edge String,
    ids Array(String),
    received_ns Int64
)
ENGINE = Null
