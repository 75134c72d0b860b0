-- The spans, in the columns of the OpenTelemetry Collector's ClickHouse exporter, plus ours at the end.
-- Spans of a trace lie together within five minutes of time: a trace is one granule to read, and a range
-- of time is a range of the table. At 10 M spans, one trace / 50 traces in CPU ms, and bytes a span:
--   this order, granules of 512 rows, blocks of 8 KiB       10 /    62    63.5
--   the same, 1024 rows, 16 KiB                             9 /    69    61.7
--   the same, 8192 rows, 64 KiB                             11 /   207    59.7
--   (TraceId, Timestamp), 1024 rows, 16 KiB                 9 /    76    62.2   a range reads the whole day
--   (ServiceName, SpanName, time), the exporter's own       63 / 1,113    93.1   its skip indexes included
-- Bytes as they were with the lengths of texts in streams of their own (LEAN in rendering.py): 7 less since.
-- 25 traces from anywhere in the day take 30 CPU ms, with 1024 rows and 16 KiB 38, with 512 and 16 KiB 37, with 256
-- and 4 KiB 27 (and 2.5 bytes a span more). The smaller granules cost 0.8 us a span when it is loaded and merged.
-- Merged later than by default (base 5): 1.1 us a span less, trace_summary's share included, and a page reads
-- no slower, for parts are stretches of time and the five minutes of a trace lie in few of them.
-- Resource holds the resource's attributes once per part and distinct resource, as JSON; ResourceAttributes is the
-- same as the exporter's map. A map in each row took 26 bytes a span (Resource: 1.5) and a quarter of the load.
-- A span id alone leads to its trace by the filter on it: 1.2 bytes a span, 0.1 us to load it; among 16 M spans
-- one is found in 10 CPU ms, with granularity 1 in 40, without it in 670.
-- To find requests nobody reads this table: trace_summary has what that takes. A page reads its own traces.
-- Partitions are days of the span's start, but never more than a week before or a day after it was received:
-- clocks that lie could otherwise make a partition for each of 10,000 days in one insert.
-- Source: opentelemetry-collector-contrib exporter/clickhouseexporter sqltemplates/traces_table.sql.
-- ttl of spans: toDateTime(Received)
{% from "macros/columns.sql" import span_columns %}
CREATE TABLE IF NOT EXISTS {{ database }}.otel_traces{{ local }} {{ on_cluster }} (
    {{ span_columns() }}
)
ENGINE = {{ merge_tree }}
PARTITION BY toDate(least(greatest(Timestamp, Received - toIntervalDay(7)), Received + toIntervalDay(1)))
ORDER BY (toStartOfFiveMinutes(Timestamp), TraceId, Timestamp)
SETTINGS index_granularity = 512, min_compress_block_size = 8192, merge_selector_base = 10, {{ durable }}
