CREATE TABLE IF NOT EXISTS hopline.metric_part  (
    resource Map(LowCardinality(String), String),
    resource_schema_url String,
    scope_name String,
    scope_version String,
    scope_attributes Map(LowCardinality(String), String),
    scope_dropped UInt32,
    scope_schema_url String,
    name LowCardinality(String),
    description String,
    unit String,
    temporality Int32,
    is_monotonic Bool,
    gauge Array(Tuple(
        attributes Array(Tuple(key LowCardinality(String), value String)), start_time_unix_nano UInt64, time_unix_nano UInt64,
        as_double Float64, as_int Int64, flags UInt32, exemplars Array(Tuple(
            filtered_attributes Array(Tuple(key LowCardinality(String), value String)), time_unix_nano UInt64, as_double Float64, as_int Int64,
            span_id String, trace_id String)))),
    sum Array(Tuple(
        attributes Array(Tuple(key LowCardinality(String), value String)), start_time_unix_nano UInt64, time_unix_nano UInt64,
        as_double Float64, as_int Int64, flags UInt32, exemplars Array(Tuple(
            filtered_attributes Array(Tuple(key LowCardinality(String), value String)), time_unix_nano UInt64, as_double Float64, as_int Int64,
            span_id String, trace_id String)))),
    histogram Array(Tuple(
        attributes Array(Tuple(key LowCardinality(String), value String)), start_time_unix_nano UInt64, time_unix_nano UInt64,
        count UInt64, sum Float64, min Float64, max Float64,
        bucket_counts Array(UInt64), explicit_bounds Array(Float64),
        flags UInt32, exemplars Array(Tuple(
            filtered_attributes Array(Tuple(key LowCardinality(String), value String)), time_unix_nano UInt64, as_double Float64, as_int Int64,
            span_id String, trace_id String)))),
    exponential_histogram Array(Tuple(
        attributes Array(Tuple(key LowCardinality(String), value String)), start_time_unix_nano UInt64, time_unix_nano UInt64,
        count UInt64, sum Float64, min Float64, max Float64,
        scale Int32, zero_count UInt64, zero_threshold Float64,
        positive Tuple(offset Int32, bucket_counts Array(UInt64)),
        negative Tuple(offset Int32, bucket_counts Array(UInt64)),
        flags UInt32, exemplars Array(Tuple(
            filtered_attributes Array(Tuple(key LowCardinality(String), value String)), time_unix_nano UInt64, as_double Float64, as_int Int64,
            span_id String, trace_id String)))),
    summary Array(Tuple(
        attributes Array(Tuple(key LowCardinality(String), value String)), start_time_unix_nano UInt64, time_unix_nano UInt64,
        count UInt64, sum Float64, quantile_values Array(Tuple(quantile Float64, value Float64)), flags UInt32)),
    received_ns UInt64,
    tenant LowCardinality(String)
)
ENGINE = Null
