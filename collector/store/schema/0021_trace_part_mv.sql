-- Feeds trace_part from the spans.
-- Fields of `edge` are separated by \x1f, key and value of an attribute by \x1d; an entry of `ids` is
-- an attribute in the same form.
-- Source: semantic conventions for HTTP spans, stable and before; Envoy's tracing tags; Istio's.
{% from "macros/ids.sql" import span_ids %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.trace_part_mv {{ on_cluster }}
TO {{ database }}.trace_part AS
SELECT
    TraceId AS trace_id,
    min(start) AS start_ns,
    max(start) AS last_start_ns,
    max(start + toInt64(least(Duration, 31536000000000000))) AS end_ns,
    count() AS spans,
    countIf(StatusCode = 'Error') AS errors,
    uniqState(id) AS span_ids,
    uniqStateIf(id, StatusCode = 'Error') AS error_ids,
    arrayMap(s -> toString(s), arrayDistinct(groupArray(ServiceName))) AS services,
    min(concat(
        if(ParentSpanId = '', '0', '1'), leftPad(toString(start), 19, '0'),
        '\x1f', SpanId, '\x1f', ParentSpanId, '\x1f', toString(Duration), '\x1f', StatusCode,
        '\x1f', SpanKind, '\x1f', ServiceName, '\x1f', SpanName, '\x1f', arrayStringConcat(known, '\x1f'))) AS edge,
    groupUniqArrayArray(arrayFilter(k -> match(k, '^(guid|kong|aws|apim|faas|x-appgw|http\\.request\\.header)'), known)) AS ids,
    max(toUnixTimestamp64Nano(Received)) AS received_ns
FROM (
    SELECT
        TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, Duration, StatusCode, Received,
        toUnixTimestamp64Nano(Timestamp) AS start,
        cityHash64(SpanId, SpanKind, ServiceName) AS id,
        mapFilter((k, v) -> k IN (
            'http.request.method', 'http.method', 'http.response.status_code', 'http.status_code',
            'rpc.grpc.status_code', 'grpc.status_code', 'url.path', 'http.target', 'url.full', 'http.url', 'server.address', 'http.host', 'http.route',
            {{ span_ids(0) }}),
            SpanAttributes) AS known_map,
        arrayMap((k, v) -> concat(k, '\x1d', v), mapKeys(known_map), mapValues(known_map)) AS known
    FROM {{ database }}.otel_traces{{ local }}
)
GROUP BY TraceId
