CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.trace_summary_mv 
TO hopline.trace_summary AS
SELECT
    toStartOfFiveMinutes(toDateTime(intDiv(start_ns, 1000000000))) AS bucket,
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
        arrayMap(t -> multiIf(
        t IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
        match(t, '^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'),
            if(match(t, '[1-9a-f]'),
               concat(substring(replaceAll(t, '-', ''), 1, 12), '*', substring(replaceAll(t, '-', ''), 14)), ''),
        t),
    arrayMap(
        t -> lowerUTF8(if(startsWith(t, '{') AND endsWith(t, '}'), substring(t, 2, length(t) - 2), t)),
        [trimBoth(trimBoth(if(lengthUTF8(request_id) <= 2048, request_id, ''), ' \t\n\r\v\f'), '"')]))[1]
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
                FROM hopline.trace_part
            )
        )
    )
)
