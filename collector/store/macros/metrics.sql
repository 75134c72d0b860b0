{% from "macros/otlp.sql" import attribute_list, attribute_map, hex_id, moment %}

-- What all five tables of data points begin with. The exporter's main branch cuts times to whole
-- seconds; its releases, and these tables, keep nanoseconds.
{% macro metric_columns() -%}
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
    TimeUnix DateTime64(9) CODEC(Delta(8), ZSTD(1))
{%- endmacro %}

{% macro metric_exemplars() -%}
Exemplars Nested (
        FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64,
        SpanId String, TraceId String) CODEC(ZSTD(1))
{%- endmacro %}

-- How data points are cut into partitions and sorted: a series lies together within the hour, and an
-- hour is found without reading the others. The exporter's releases sort by the map itself, which
-- compares texts for every row; its main branch by the hash, as here.
{% macro metric_order() -%}
PARTITION BY toDate(least(greatest(TimeUnix, Received - toIntervalDay(7)), Received + toIntervalDay(1)))
ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix)
{%- endmacro %}

-- A series stays on one shard.
{% macro metric_shard() -%}
cityHash64(ServiceName, MetricName, Attributes)
{%- endmacro %}

-- What all five tables begin with, of the data point `p` and its row of metric_part.
{% macro metric_values() -%}
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
    {{ attribute_map("p.attributes") }} AS Attributes,
    {{ moment("p.start_time_unix_nano") }} AS StartTimeUnix,
    {{ moment("p.time_unix_nano") }} AS TimeUnix
{%- endmacro %}

{% macro metric_exemplar_list() -%}
Array(Tuple(
            filtered_attributes {{ attribute_list() }}, time_unix_nano UInt64, as_double Float64, as_int Int64,
            span_id String, trace_id String))
{%- endmacro %}

-- The exemplars of the data point `p`.
{% macro metric_exemplar_values() -%}
arrayMap(a -> {{ attribute_map("a") }}, p.exemplars.filtered_attributes) AS `Exemplars.FilteredAttributes`,
    arrayMap(t -> {{ moment("t") }}, p.exemplars.time_unix_nano) AS `Exemplars.TimeUnix`,
    arrayMap((d, i) -> if(i != 0, toFloat64(i), d), p.exemplars.as_double, p.exemplars.as_int) AS `Exemplars.Value`,
    arrayMap(i -> {{ hex_id("i") }}, p.exemplars.span_id) AS `Exemplars.SpanId`,
    arrayMap(i -> {{ hex_id("i") }}, p.exemplars.trace_id) AS `Exemplars.TraceId`
{%- endmacro %}

-- The data points of a gauge or a sum. Of as_double and as_int one is sent.
{% macro metric_number_points() -%}
Array(Tuple(
        attributes {{ attribute_list() }}, start_time_unix_nano UInt64, time_unix_nano UInt64,
        as_double Float64, as_int Int64, flags UInt32, exemplars {{ metric_exemplar_list() }}))
{%- endmacro %}

{% macro metric_histogram_points() -%}
Array(Tuple(
        attributes {{ attribute_list() }}, start_time_unix_nano UInt64, time_unix_nano UInt64,
        count UInt64, sum Float64, min Float64, max Float64,
        bucket_counts Array(UInt64), explicit_bounds Array(Float64),
        flags UInt32, exemplars {{ metric_exemplar_list() }}))
{%- endmacro %}

{% macro metric_exponential_points() -%}
Array(Tuple(
        attributes {{ attribute_list() }}, start_time_unix_nano UInt64, time_unix_nano UInt64,
        count UInt64, sum Float64, min Float64, max Float64,
        scale Int32, zero_count UInt64, zero_threshold Float64,
        positive Tuple(offset Int32, bucket_counts Array(UInt64)),
        negative Tuple(offset Int32, bucket_counts Array(UInt64)),
        flags UInt32, exemplars {{ metric_exemplar_list() }}))
{%- endmacro %}

{% macro metric_summary_points() -%}
Array(Tuple(
        attributes {{ attribute_list() }}, start_time_unix_nano UInt64, time_unix_nano UInt64,
        count UInt64, sum Float64, quantile_values Array(Tuple(quantile Float64, value Float64)), flags UInt32))
{%- endmacro %}
