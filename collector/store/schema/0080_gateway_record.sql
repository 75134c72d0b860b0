-- What the gateways wrote about each request: every version that arrived, as it arrived.
-- Ordered by five minutes, so that a range of time is a range of the table, then by the record's id, so that
-- versions of a record lie together and one is read with one granule; id_index says in which five minutes.
-- Granules of 256 rows and blocks of 4 KiB: a page of 50 records takes 27 CPU ms and a record 105 bytes; with
-- 1024 rows and 16 KiB 40 ms and 100 bytes.
-- A search reads start_ns and answer_ns of every row in its range: with T64 and LZ4 a million rows take 9 CPU
-- ms, with Delta and ZSTD 20. The index on answer_ns lets a search skip what is not slow enough.
-- The index on the hash is for samples, see trace_summary.
-- Ordered by start and with bloom filters on ids, 50 ids passed 40 % of all granules; ReplacingMergeTree
-- would forget the versions that `as_of` asks for.
-- Merged sooner than by default (base 5), for a search and the records of its page both look into every part.
-- `stored_ns` is when the row came in here, by this server's clock: what is handed on in the order in which
-- it came misses nothing that way, however long the journal was full. 0: by an earlier version.
-- `answer_ns` is the duration that slow requests are ordered by; -1 when there is none.
-- Source: wire/gateway_record.proto; columns are called as its fields.
-- ttl by api: toDateTime(intDiv(received_ns, 1000000000))
{% from "macros/requests.sql" import record_is_answer %}
CREATE TABLE IF NOT EXISTS {{ database }}.gateway_record{{ local }} {{ on_cluster }} (
    bucket DateTime CODEC(Delta(4), ZSTD(1)),
-- fields: generated from model.GatewayRecord
    gateway LowCardinality(String) CODEC(ZSTD(1)),
    record_id String CODEC(ZSTD(1)),
    start_ns Int64 CODEC(T64, LZ4),
    instance LowCardinality(String) CODEC(ZSTD(1)),
    source LowCardinality(String) CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    ids Array(Tuple(key LowCardinality(String), value String)) CODEC(ZSTD(1)),
    trace_id String CODEC(ZSTD(1)),
    trace_id_source LowCardinality(String) CODEC(ZSTD(1)),
    parent_span_id String CODEC(ZSTD(1)),
    outgoing_span_id String CODEC(ZSTD(1)),
    is_sampled Nullable(Bool) CODEC(ZSTD(1)),
    duration_ns Nullable(Int64) CODEC(T64, ZSTD(1)),
    client_ns Nullable(Int64) CODEC(T64, ZSTD(1)),
    gateway_ns Nullable(Int64) CODEC(T64, ZSTD(1)),
    cache_ns Nullable(Int64) CODEC(T64, ZSTD(1)),
    backend_ns Nullable(Int64) CODEC(T64, ZSTD(1)),
    resolution_ns Int64 CODEC(ZSTD(1)),
    method LowCardinality(String) CODEC(ZSTD(1)),
    scheme LowCardinality(String) CODEC(ZSTD(1)),
    host LowCardinality(String) CODEC(ZSTD(1)),
    path String CODEC(ZSTD(1)),
    route LowCardinality(String) CODEC(ZSTD(1)),
    protocol LowCardinality(String) CODEC(ZSTD(1)),
    status Nullable(Int32) CODEC(ZSTD(1)),
    is_error Bool CODEC(ZSTD(1)),
    api LowCardinality(String) CODEC(ZSTD(1)),
    api_revision LowCardinality(String) CODEC(ZSTD(1)),
    operation LowCardinality(String) CODEC(ZSTD(1)),
    product LowCardinality(String) CODEC(ZSTD(1)),
    consumer LowCardinality(String) CODEC(ZSTD(1)),
    user String CODEC(ZSTD(1)),
    region LowCardinality(String) CODEC(ZSTD(1)),
    client_address String CODEC(ZSTD(1)),
    backend_method LowCardinality(String) CODEC(ZSTD(1)),
    backend_host LowCardinality(String) CODEC(ZSTD(1)),
    backend_path String CODEC(ZSTD(1)),
    backend_status Nullable(Int32) CODEC(ZSTD(1)),
    backend_id LowCardinality(String) CODEC(ZSTD(1)),
    attempts Nullable(Int32) CODEC(ZSTD(1)),
    cache LowCardinality(String) CODEC(ZSTD(1)),
    request_bytes Nullable(Int64) CODEC(T64, ZSTD(1)),
    response_bytes Nullable(Int64) CODEC(T64, ZSTD(1)),
    error_source LowCardinality(String) CODEC(ZSTD(1)),
    error_scope LowCardinality(String) CODEC(ZSTD(1)),
    error_section LowCardinality(String) CODEC(ZSTD(1)),
    error_reason LowCardinality(String) CODEC(ZSTD(1)),
    error_message String CODEC(ZSTD(1)),
    error_elapsed_ns Nullable(Int64) CODEC(T64, ZSTD(1)),
    weight Float64 CODEC(ZSTD(1)),
    quality Array(LowCardinality(String)) CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    raw String CODEC(ZSTD(3)),
    is_probe Bool CODEC(ZSTD(1)),
-- end
    received_ns Int64 CODEC(Delta(8), ZSTD(1)),
    door LowCardinality(String) CODEC(ZSTD(1)),
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    stored_ns Int64 CODEC(Delta(8), ZSTD(1)),
    answer_ns Int64 DEFAULT if({{ record_is_answer() }}, ifNull(duration_ns, -1), -1) CODEC(T64, LZ4),
    start DateTime64(9) ALIAS fromUnixTimestamp64Nano(start_ns),
    INDEX by_answer answer_ns TYPE minmax GRANULARITY 1,
    INDEX by_hash cityHash64(if(trace_id = '', record_id, trace_id)) TYPE minmax GRANULARITY 1,
    INDEX by_stored stored_ns TYPE minmax GRANULARITY 4
)
ENGINE = {{ merge_tree }}
PARTITION BY toDate(fromUnixTimestamp64Nano(received_ns))
ORDER BY (bucket, record_id, gateway)
SETTINGS index_granularity = 256, min_compress_block_size = 4096, merge_selector_base = 2, {{ durable }}
