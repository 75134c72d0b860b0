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
        ['http.request.header.x-request-id', 'http.request.header.x_request_id',
        'http.request.header.x-correlation-id', 'http.request.header.x_correlation_id',
        'http.request.header.x-ms-correlation-id', 'http.request.header.x_ms_correlation_id',
        'http.request.header.apim-request-id', 'http.request.header.apim_request_id',
        'http.request.header.x-kong-request-id', 'http.request.header.x_kong_request_id',
        'http.request.header.x-amzn-requestid', 'http.request.header.x_amzn_requestid',
        'http.request.header.x-amz-apigw-id', 'http.request.header.x_amz_apigw_id',
        'http.request.header.x-apigee-message-id', 'http.request.header.x_apigee_message_id',
        'http.request.header.x-appgw-trace-id', 'http.request.header.x_appgw_trace_id',
        'http.request.header.x-azure-ref', 'http.request.header.x_azure_ref',
        'guid:x-request-id', 'x-appgw-trace-id', 'kong.request.id', 'aws.request_id', 'aws.extended_request_id', 'apim.request_id', 'faas.invocation_id', 'faas.execution'],
        ['x_request_id', 'x_request_id',
        'correlation_id', 'correlation_id',
        'correlation_id', 'correlation_id',
        'apim_correlation_id', 'apim_correlation_id',
        'kong_request_id', 'kong_request_id',
        'aws_request_id', 'aws_request_id',
        'aws_extended_request_id', 'aws_extended_request_id',
        'apigee_message_id', 'apigee_message_id',
        'transaction_id', 'transaction_id',
        'tracking_id', 'tracking_id',
        'x_request_id', 'transaction_id', 'kong_request_id', 'aws_request_id', 'aws_extended_request_id', 'apim_correlation_id', 'invocation_id', 'invocation_id'],
        '') AS kind,
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
