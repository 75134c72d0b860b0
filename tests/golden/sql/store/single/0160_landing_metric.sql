CREATE TABLE IF NOT EXISTS hopline.landing_metric  (
    resource_metrics Array(Tuple(
        resource Tuple(attributes Array(Tuple(key LowCardinality(String), value String))),
        schema_url String,
        scope_metrics Array(Tuple(
            scope Tuple(
                name String, version String, attributes Array(Tuple(key LowCardinality(String), value String)), dropped_attributes_count UInt32),
            schema_url String,
            metrics Array(Tuple(
                name LowCardinality(String), description String, unit String,
                gauge Tuple(data_points Array(Tuple(
        attributes Array(Tuple(key LowCardinality(String), value String)), start_time_unix_nano UInt64, time_unix_nano UInt64,
        as_double Float64, as_int Int64, flags UInt32, exemplars Array(Tuple(
            filtered_attributes Array(Tuple(key LowCardinality(String), value String)), time_unix_nano UInt64, as_double Float64, as_int Int64,
            span_id String, trace_id String))))),
                sum Tuple(
                    data_points Array(Tuple(
        attributes Array(Tuple(key LowCardinality(String), value String)), start_time_unix_nano UInt64, time_unix_nano UInt64,
        as_double Float64, as_int Int64, flags UInt32, exemplars Array(Tuple(
            filtered_attributes Array(Tuple(key LowCardinality(String), value String)), time_unix_nano UInt64, as_double Float64, as_int Int64,
            span_id String, trace_id String)))), aggregation_temporality Int32, is_monotonic Bool),
                histogram Tuple(data_points Array(Tuple(
        attributes Array(Tuple(key LowCardinality(String), value String)), start_time_unix_nano UInt64, time_unix_nano UInt64,
        count UInt64, sum Float64, min Float64, max Float64,
        bucket_counts Array(UInt64), explicit_bounds Array(Float64),
        flags UInt32, exemplars Array(Tuple(
            filtered_attributes Array(Tuple(key LowCardinality(String), value String)), time_unix_nano UInt64, as_double Float64, as_int Int64,
            span_id String, trace_id String)))), aggregation_temporality Int32),
                exponential_histogram Tuple(
                    data_points Array(Tuple(
        attributes Array(Tuple(key LowCardinality(String), value String)), start_time_unix_nano UInt64, time_unix_nano UInt64,
        count UInt64, sum Float64, min Float64, max Float64,
        scale Int32, zero_count UInt64, zero_threshold Float64,
        positive Tuple(offset Int32, bucket_counts Array(UInt64)),
        negative Tuple(offset Int32, bucket_counts Array(UInt64)),
        flags UInt32, exemplars Array(Tuple(
            filtered_attributes Array(Tuple(key LowCardinality(String), value String)), time_unix_nano UInt64, as_double Float64, as_int Int64,
            span_id String, trace_id String)))), aggregation_temporality Int32),
                summary Tuple(data_points Array(Tuple(
        attributes Array(Tuple(key LowCardinality(String), value String)), start_time_unix_nano UInt64, time_unix_nano UInt64,
        count UInt64, sum Float64, quantile_values Array(Tuple(quantile Float64, value Float64)), flags UInt32)))
            ))
        ))
    )),
    received_ns UInt64,
    door LowCardinality(String),
    tenant LowCardinality(String)
)
ENGINE = Null
