CREATE TABLE IF NOT EXISTS hopline.otel_logs_local ON CLUSTER mesh (
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    TraceFlags UInt8,
    SeverityText LowCardinality(String) CODEC(ZSTD(1)),
    SeverityNumber UInt8,
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    Body String CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) ALIAS JSONExtract(Resource, 'Map(LowCardinality(String), String)'),
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    EventName String CODEC(ZSTD(1)),
    Resource LowCardinality(String) CODEC(ZSTD(1)),
    Received DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Tenant LowCardinality(String) CODEC(ZSTD(1)),
    RequestKeys Array(String) MATERIALIZED arrayDistinct(arrayFilter(key -> key != '', arrayMap(
    pair -> arrayMap(
        digits -> multiIf(
            pair.1 LIKE '%request%' OR digits = '', arrayMap(t -> multiIf(
        t IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
        match(t, '^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'),
            if(match(t, '[1-9a-f]'),
               concat(substring(replaceAll(t, '-', ''), 1, 12), '*', substring(replaceAll(t, '-', ''), 14)), ''),
        t),
    arrayMap(
        t -> lowerUTF8(if(startsWith(t, '{') AND endsWith(t, '}'), substring(t, 2, length(t) - 2), t)),
        [trimBoth(trimBoth(if(lengthUTF8(pair.2) <= 2048, pair.2, ''), ' \t\n\r\v\f'), '"')]))[1],
            match(digits, '[1-9a-f]'), leftPad(digits, 32, '0'),
            ''),
        [extract(
            replaceRegexpOne(
                lower(trimBoth(pair.2)), '^(?:self=[^;]*;)?root=1-([0-9a-f]{8})-([0-9a-f]{24})', '\\1\\2'),
            '^(?:[0-9a-f]{2}-)?([0-9a-f]{32}|[0-9a-f]{16})(?:[-;]|$)')])[1],
    arrayConcat(
    arrayFilter(
        pair -> match(pair.1, '^(?:guid:|http\\.request\\.header\\.)?(?:x[-_])?request[-_]id$|^(?:http\\.request\\.header\\.)?(?:traceparent|b3|x[-_]b3[-_]traceid)$|^trace[-_.]?id$')
            AND length(pair.2) <= 256,
        arrayMap(
            (name, value) -> (lower(name), replaceRegexpOne(value, '^\\["([^"]*)".*$', '\\1')),
            CAST(mapKeys(LogAttributes), 'Array(String)'), mapValues(LogAttributes))),
    arrayFilter(
        pair -> lengthUTF8(pair.2) BETWEEN 8 AND 256,
        arrayMap(
            found -> (lower(found[1]), found[2]),
            extractAllGroupsVertical(
                if(startsWith(Body, '{') AND length(Body) <= 16384, Body, ''),
                '(?i)"((?:x[-_])?request[-_]id|traceparent|b3|x[-_]b3[-_]traceid|trace[-_.]?id)"\\s*:\\s*"([^"]*)"'))),
    arrayMap(
        value -> ('request_id', value),
        arrayFilter(
            value -> lengthUTF8(value) BETWEEN 8 AND 128,
            [extract(
                if(startsWith(Body, '[') AND length(Body) <= 16384, Body, ''),
                '" "([^" ]*)" "[^"]*" "[^"]*"(?: [^ "]+){0,6}\\s*$')])))))) CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_request_keys RequestKeys TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')
PARTITION BY toDate(least(greatest(Timestamp, Received - toIntervalDay(7)), Received + toIntervalDay(1)))
ORDER BY (toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp)
SETTINGS index_granularity = 8192, replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, string_serialization_version = 'single_stream', marks_compression_codec = 'LZ4', primary_key_compression_codec = 'LZ4', compute_exact_num_defaults_for_sparse_columns = 0
