-- 0100_otel_metrics_gauge
CREATE TABLE IF NOT EXISTS hopline.otel_metrics_gauge  (
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Value Float64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Exemplars Nested (
        FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64,
        SpanId String, TraceId String) CODEC(ZSTD(1)),
    Received DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Tenant LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(least(greatest(TimeUnix, Received - toIntervalDay(7)), Received + toIntervalDay(1)))
ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

-- 0110_otel_metrics_sum
CREATE TABLE IF NOT EXISTS hopline.otel_metrics_sum  (
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Value Float64 CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Exemplars Nested (
        FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64,
        SpanId String, TraceId String) CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1)),
    IsMonotonic Boolean CODEC(ZSTD(1)),
    Received DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Tenant LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(least(greatest(TimeUnix, Received - toIntervalDay(7)), Received + toIntervalDay(1)))
ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

-- 0120_otel_metrics_histogram
CREATE TABLE IF NOT EXISTS hopline.otel_metrics_histogram  (
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Count UInt64 CODEC(T64, ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    BucketCounts Array(UInt64) CODEC(ZSTD(1)),
    ExplicitBounds Array(Float64) CODEC(ZSTD(1)),
    Exemplars Nested (
        FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64,
        SpanId String, TraceId String) CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Min Float64 CODEC(ZSTD(1)),
    Max Float64 CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1)),
    Received DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Tenant LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(least(greatest(TimeUnix, Received - toIntervalDay(7)), Received + toIntervalDay(1)))
ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

-- 0130_otel_metrics_exponential_histogram
CREATE TABLE IF NOT EXISTS hopline.otel_metrics_exponential_histogram  (
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Count UInt64 CODEC(T64, ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    Scale Int32 CODEC(ZSTD(1)),
    ZeroCount UInt64 CODEC(ZSTD(1)),
    PositiveOffset Int32 CODEC(ZSTD(1)),
    PositiveBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    NegativeOffset Int32 CODEC(ZSTD(1)),
    NegativeBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    Exemplars Nested (
        FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64,
        SpanId String, TraceId String) CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Min Float64 CODEC(ZSTD(1)),
    Max Float64 CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1)),
    Received DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    ZeroThreshold Float64 CODEC(ZSTD(1)),
    Tenant LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(least(greatest(TimeUnix, Received - toIntervalDay(7)), Received + toIntervalDay(1)))
ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

-- 0140_otel_metrics_summary
CREATE TABLE IF NOT EXISTS hopline.otel_metrics_summary  (
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Count UInt64 CODEC(T64, ZSTD(1)),
    Sum Float64 CODEC(ZSTD(1)),
    ValueAtQuantiles Nested (Quantile Float64, Value Float64) CODEC(ZSTD(1)),
    Flags UInt32 CODEC(ZSTD(1)),
    Received DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Tenant LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(least(greatest(TimeUnix, Received - toIntervalDay(7)), Received + toIntervalDay(1)))
ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

-- 0150_metric_part
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
ENGINE = Null;

-- 0151_otel_metrics_gauge_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.otel_metrics_gauge_mv 
TO hopline.otel_metrics_gauge AS
SELECT
    resource AS ResourceAttributes,
    resource_schema_url AS ResourceSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    scope_dropped AS ScopeDroppedAttrCount,
    scope_schema_url AS ScopeSchemaUrl,
    resource['service.name'] AS ServiceName,
    name AS MetricName,
    description AS MetricDescription,
    unit AS MetricUnit,
    attribute_map(p.attributes) AS Attributes,
    fromUnixTimestamp64Nano(toInt64(p.start_time_unix_nano)) AS StartTimeUnix,
    fromUnixTimestamp64Nano(toInt64(p.time_unix_nano)) AS TimeUnix,
    if(p.as_int != 0, toFloat64(p.as_int), p.as_double) AS Value,
    p.flags AS Flags,
    arrayMap(a -> attribute_map(a), p.exemplars.filtered_attributes) AS `Exemplars.FilteredAttributes`,
    arrayMap(t -> fromUnixTimestamp64Nano(toInt64(t)), p.exemplars.time_unix_nano) AS `Exemplars.TimeUnix`,
    arrayMap((d, i) -> if(i != 0, toFloat64(i), d), p.exemplars.as_double, p.exemplars.as_int) AS `Exemplars.Value`,
    arrayMap(i -> lower(hex(i)), p.exemplars.span_id) AS `Exemplars.SpanId`,
    arrayMap(i -> lower(hex(i)), p.exemplars.trace_id) AS `Exemplars.TraceId`,
    fromUnixTimestamp64Nano(toInt64(received_ns)) AS Received,
    tenant AS Tenant
FROM hopline.metric_part
ARRAY JOIN gauge AS p;

-- 0152_otel_metrics_sum_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.otel_metrics_sum_mv 
TO hopline.otel_metrics_sum AS
SELECT
    resource AS ResourceAttributes,
    resource_schema_url AS ResourceSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    scope_dropped AS ScopeDroppedAttrCount,
    scope_schema_url AS ScopeSchemaUrl,
    resource['service.name'] AS ServiceName,
    name AS MetricName,
    description AS MetricDescription,
    unit AS MetricUnit,
    attribute_map(p.attributes) AS Attributes,
    fromUnixTimestamp64Nano(toInt64(p.start_time_unix_nano)) AS StartTimeUnix,
    fromUnixTimestamp64Nano(toInt64(p.time_unix_nano)) AS TimeUnix,
    if(p.as_int != 0, toFloat64(p.as_int), p.as_double) AS Value,
    p.flags AS Flags,
    arrayMap(a -> attribute_map(a), p.exemplars.filtered_attributes) AS `Exemplars.FilteredAttributes`,
    arrayMap(t -> fromUnixTimestamp64Nano(toInt64(t)), p.exemplars.time_unix_nano) AS `Exemplars.TimeUnix`,
    arrayMap((d, i) -> if(i != 0, toFloat64(i), d), p.exemplars.as_double, p.exemplars.as_int) AS `Exemplars.Value`,
    arrayMap(i -> lower(hex(i)), p.exemplars.span_id) AS `Exemplars.SpanId`,
    arrayMap(i -> lower(hex(i)), p.exemplars.trace_id) AS `Exemplars.TraceId`,
    temporality AS AggregationTemporality,
    is_monotonic AS IsMonotonic,
    fromUnixTimestamp64Nano(toInt64(received_ns)) AS Received,
    tenant AS Tenant
FROM hopline.metric_part
ARRAY JOIN sum AS p;

-- 0153_otel_metrics_histogram_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.otel_metrics_histogram_mv 
TO hopline.otel_metrics_histogram AS
SELECT
    resource AS ResourceAttributes,
    resource_schema_url AS ResourceSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    scope_dropped AS ScopeDroppedAttrCount,
    scope_schema_url AS ScopeSchemaUrl,
    resource['service.name'] AS ServiceName,
    name AS MetricName,
    description AS MetricDescription,
    unit AS MetricUnit,
    attribute_map(p.attributes) AS Attributes,
    fromUnixTimestamp64Nano(toInt64(p.start_time_unix_nano)) AS StartTimeUnix,
    fromUnixTimestamp64Nano(toInt64(p.time_unix_nano)) AS TimeUnix,
    p.count AS Count,
    p.sum AS Sum,
    p.bucket_counts AS BucketCounts,
    p.explicit_bounds AS ExplicitBounds,
    arrayMap(a -> attribute_map(a), p.exemplars.filtered_attributes) AS `Exemplars.FilteredAttributes`,
    arrayMap(t -> fromUnixTimestamp64Nano(toInt64(t)), p.exemplars.time_unix_nano) AS `Exemplars.TimeUnix`,
    arrayMap((d, i) -> if(i != 0, toFloat64(i), d), p.exemplars.as_double, p.exemplars.as_int) AS `Exemplars.Value`,
    arrayMap(i -> lower(hex(i)), p.exemplars.span_id) AS `Exemplars.SpanId`,
    arrayMap(i -> lower(hex(i)), p.exemplars.trace_id) AS `Exemplars.TraceId`,
    p.flags AS Flags,
    p.min AS Min,
    p.max AS Max,
    temporality AS AggregationTemporality,
    fromUnixTimestamp64Nano(toInt64(received_ns)) AS Received,
    tenant AS Tenant
FROM hopline.metric_part
ARRAY JOIN histogram AS p;

-- 0154_otel_metrics_exponential_histogram_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.otel_metrics_exponential_histogram_mv 
TO hopline.otel_metrics_exponential_histogram AS
SELECT
    resource AS ResourceAttributes,
    resource_schema_url AS ResourceSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    scope_dropped AS ScopeDroppedAttrCount,
    scope_schema_url AS ScopeSchemaUrl,
    resource['service.name'] AS ServiceName,
    name AS MetricName,
    description AS MetricDescription,
    unit AS MetricUnit,
    attribute_map(p.attributes) AS Attributes,
    fromUnixTimestamp64Nano(toInt64(p.start_time_unix_nano)) AS StartTimeUnix,
    fromUnixTimestamp64Nano(toInt64(p.time_unix_nano)) AS TimeUnix,
    p.count AS Count,
    p.sum AS Sum,
    p.scale AS Scale,
    p.zero_count AS ZeroCount,
    p.positive.offset AS PositiveOffset,
    p.positive.bucket_counts AS PositiveBucketCounts,
    p.negative.offset AS NegativeOffset,
    p.negative.bucket_counts AS NegativeBucketCounts,
    arrayMap(a -> attribute_map(a), p.exemplars.filtered_attributes) AS `Exemplars.FilteredAttributes`,
    arrayMap(t -> fromUnixTimestamp64Nano(toInt64(t)), p.exemplars.time_unix_nano) AS `Exemplars.TimeUnix`,
    arrayMap((d, i) -> if(i != 0, toFloat64(i), d), p.exemplars.as_double, p.exemplars.as_int) AS `Exemplars.Value`,
    arrayMap(i -> lower(hex(i)), p.exemplars.span_id) AS `Exemplars.SpanId`,
    arrayMap(i -> lower(hex(i)), p.exemplars.trace_id) AS `Exemplars.TraceId`,
    p.flags AS Flags,
    p.min AS Min,
    p.max AS Max,
    temporality AS AggregationTemporality,
    p.zero_threshold AS ZeroThreshold,
    fromUnixTimestamp64Nano(toInt64(received_ns)) AS Received,
    tenant AS Tenant
FROM hopline.metric_part
ARRAY JOIN exponential_histogram AS p;

-- 0155_otel_metrics_summary_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.otel_metrics_summary_mv 
TO hopline.otel_metrics_summary AS
SELECT
    resource AS ResourceAttributes,
    resource_schema_url AS ResourceSchemaUrl,
    scope_name AS ScopeName,
    scope_version AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    scope_dropped AS ScopeDroppedAttrCount,
    scope_schema_url AS ScopeSchemaUrl,
    resource['service.name'] AS ServiceName,
    name AS MetricName,
    description AS MetricDescription,
    unit AS MetricUnit,
    attribute_map(p.attributes) AS Attributes,
    fromUnixTimestamp64Nano(toInt64(p.start_time_unix_nano)) AS StartTimeUnix,
    fromUnixTimestamp64Nano(toInt64(p.time_unix_nano)) AS TimeUnix,
    p.count AS Count,
    p.sum AS Sum,
    p.quantile_values.quantile AS `ValueAtQuantiles.Quantile`,
    p.quantile_values.value AS `ValueAtQuantiles.Value`,
    p.flags AS Flags,
    fromUnixTimestamp64Nano(toInt64(received_ns)) AS Received,
    tenant AS Tenant
FROM hopline.metric_part
ARRAY JOIN summary AS p;

-- 0160_landing_metric
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
ENGINE = Null;

-- 0161_landing_metric_mv
CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.landing_metric_mv 
TO hopline.metric_part AS
SELECT
    resource, resource_schema_url, scope_name, scope_version, scope_attributes, scope_dropped, scope_schema_url,
    m.name AS name,
    m.description AS description,
    m.unit AS unit,
    greatest(
        m.sum.aggregation_temporality, m.histogram.aggregation_temporality,
        m.exponential_histogram.aggregation_temporality) AS temporality,
    m.sum.is_monotonic AS is_monotonic,
    m.gauge.data_points AS gauge,
    m.sum.data_points AS sum,
    m.histogram.data_points AS histogram,
    m.exponential_histogram.data_points AS exponential_histogram,
    m.summary.data_points AS summary,
    received_ns, tenant
FROM (
    SELECT
        resource, resource_schema_url, sm.scope.name AS scope_name, sm.scope.version AS scope_version,
        attribute_map(sm.scope.attributes) AS scope_attributes,
        sm.scope.dropped_attributes_count AS scope_dropped, sm.schema_url AS scope_schema_url,
        sm.metrics AS metrics, received_ns, tenant
    FROM (
        SELECT
            attribute_map(r.resource.attributes) AS resource, r.schema_url AS resource_schema_url,
            r.scope_metrics AS scope_metrics, received_ns, tenant
        FROM (
            SELECT r, received_ns, tenant
            FROM hopline.landing_metric
            ARRAY JOIN resource_metrics AS r
        )
    )
    ARRAY JOIN scope_metrics AS sm
)
ARRAY JOIN metrics AS m;
