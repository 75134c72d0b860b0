CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.id_index_span_mv ON CLUSTER mesh
TO hopline.id_index_local AS
SELECT
    arrayMap(t -> multiIf(
        t IN ('', '-', 'none', 'null', 'undefined', 'nan'), '',
        match(t, '^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$'),
            if(match(t, '[1-9a-f]'),
               concat(substring(replaceAll(t, '-', ''), 1, 12), '*', substring(replaceAll(t, '-', ''), 14)), ''),
        t),
    arrayMap(
        t -> lowerUTF8(if(startsWith(t, '{') AND endsWith(t, '}'), substring(t, 2, length(t) - 2), t)),
        [trimBoth(trimBoth(if(lengthUTF8(value) <= 2048, value, ''), ' \t\n\r\v\f'), '"')]))[1] AS key,
    transform(name,
        ['http.request.header.x-correlation-id', 'kong.request.id', 'aws.request_id', 'aws.extended_request_id', 'apim.request_id', 'x-appgw-trace-id', 'http.request.header.x-appgw-trace-id'],
        ['correlation_id', 'kong_request_id', 'aws_request_id', 'aws_extended_request_id', 'apim_correlation_id', 'transaction_id', 'transaction_id'],
        'x_request_id') AS kind,
    trace_id,
    '' AS gateway,
    '' AS record_id,
    toStartOfFiveMinutes(toDateTime(intDiv(start_ns, 1000000000))) AS bucket,
    start_ns,
    received_ns
FROM (
    SELECT name, value, trace_id, start_ns, received_ns
    FROM (
        SELECT
            splitByChar('\x1d', id)[1] AS name, splitByChar('\x1d', id)[2] AS text,
            trace_id, start_ns, received_ns
        FROM hopline.trace_part
        ARRAY JOIN ids AS id
    )
    ARRAY JOIN if(startsWith(text, '['), JSONExtract(text, 'Array(String)'), [text]) AS value
)
WHERE key != ''
