-- Feeds trace_summary: takes the text of the edge span apart again.
-- Source: semantic conventions for HTTP spans, stable names before old ones; RFC 3986 for url parts.
CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.trace_summary_mv {{on_cluster}}
TO {{database}}.trace_summary{{local}} AS
SELECT
    toStartOfFiveMinutes(toDateTime(intDiv(start_ns, 1000000000))) AS bucket,
    trace_id, start_ns, end_ns, spans, errors, services,
    (
        toInt64OrZero(substring(f[1], 2)) + if(startsWith(f[1], '0'), 0, 4000000000000000000),
        toInt64OrZero(substring(f[1], 2)), toInt64OrZero(f[4]),
        f[5] = 'Error' OR status >= 500, status,
        f[2], f[3], f[7], f[8], f[6],
        a['http.request.method'] || if(a['http.request.method'] = '', a['http.method'], ''),
        multiIf(a['http.host'] != '', a['http.host'], url != '', domain(url), a['server.address']),
        multiIf(a['url.path'] != '', a['url.path'], a['http.target'] != '', path(a['http.target']), path(url)),
        a['http.route'],
        {{request_id_key:a['guid:x-request-id']}}
    ) AS edge,
    received_ns
FROM (
    SELECT
        trace_id, start_ns, end_ns, spans, errors, services, received_ns,
        splitByChar('\x1f', edge) AS f,
        CAST(arrayMap(p -> (splitByChar('\x1d', p)[1], splitByChar('\x1d', p)[2]), arraySlice(f, 9)), 'Map(String, String)') AS a,
        a['url.full'] || if(a['url.full'] = '', a['http.url'], '') AS url,
        toUInt16OrZero(a['http.response.status_code'] || if(a['http.response.status_code'] = '', a['http.status_code'], '')) AS status
    FROM {{database}}.trace_part
)
