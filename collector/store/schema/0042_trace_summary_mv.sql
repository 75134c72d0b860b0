-- Feeds trace_summary: takes the text of the edge span apart again. One step in each subquery: the
-- engine copies an alias to wherever it is used, and analysing the copies took 30 ms of each insert.
-- An error is what decode/outcome.py calls one: 500 and more, or a gRPC status but OK and CANCELLED.
-- Source: semantic conventions for HTTP spans, stable names before old ones; RFC 3986 for url parts.
{% from "macros/ids.sql" import request_id_key %}
{% from "macros/requests.sql" import five_minutes %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.trace_summary_mv {{ on_cluster }}
TO {{ database }}.trace_summary{{ local }} AS
SELECT
    {{ five_minutes("start_ns") }} AS bucket,
    trace_id, start_ns, end_ns, spans, errors, span_ids, error_ids, services,
    (rank, toInt64OrZero(f[4])) AS place,
    (
        rank,
        f[5] = 'Error' OR status >= 500 OR grpc_status > 1, status,
        f[2], f[3], f[7], f[8], f[6],
        if(a['http.request.method'] = '', a['http.method'], a['http.request.method']),
        multiIf(a['http.host'] != '', a['http.host'], url != '', domain(url), a['server.address']),
        multiIf(a['url.path'] != '', a['url.path'], a['http.target'] != '', path(a['http.target']), path(url)),
        a['http.route'],
        {{ request_id_key("request_id") }}
    ) AS edge,
    received_ns
FROM (
    SELECT
        trace_id, start_ns, end_ns, spans, errors, span_ids, error_ids, services, received_ns, f, a,
        toInt64OrZero(substring(f[1], 2)) + if(startsWith(f[1], '0'), 0, 4000000000000000000) AS rank,
        if(a['url.full'] = '', a['http.url'], a['url.full']) AS url,
        toUInt16OrZero(if(a['http.response.status_code'] = '', a['http.status_code'], a['http.response.status_code'])) AS status,
        toUInt16OrZero(if(a['rpc.grpc.status_code'] = '', a['grpc.status_code'], a['rpc.grpc.status_code'])) AS grpc_status,
        a['guid:x-request-id'] AS request_id
    FROM (
        SELECT
            trace_id, start_ns, end_ns, spans, errors, span_ids, error_ids, services, received_ns, f,
            mapFromArrays(arrayMap(p -> p[1], known), arrayMap(p -> p[2], known)) AS a
        FROM (
            SELECT
                trace_id, start_ns, end_ns, spans, errors, span_ids, error_ids, services, received_ns, f,
                arrayMap(p -> splitByChar('\x1d', p), arraySlice(f, 9)) AS known
            FROM (
                SELECT
                    trace_id, start_ns, end_ns, spans, errors, span_ids, error_ids, services, received_ns,
                    splitByChar('\x1f', edge) AS f
                FROM {{ database }}.trace_part
            )
        )
    )
)
