CREATE MATERIALIZED VIEW IF NOT EXISTS hopline.trace_part_mv ON CLUSTER mesh
TO hopline.trace_part AS
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
            'http.request.header.x-request-id', 'http.request.header.x_request_id',
        'http.request.header.x-correlation-id', 'http.request.header.x_correlation_id',
        'http.request.header.x-ms-correlation-id', 'http.request.header.x_ms_correlation_id',
        'http.request.header.apim-request-id', 'http.request.header.apim_request_id',
        'http.request.header.x-kong-request-id', 'http.request.header.x_kong_request_id',
        'http.request.header.x-amzn-requestid', 'http.request.header.x_amzn_requestid',
        'http.request.header.x-amz-apigw-id', 'http.request.header.x_amz_apigw_id',
        'http.request.header.x-apigee-message-id', 'http.request.header.x_apigee_message_id',
        'http.request.header.x-appgw-trace-id', 'http.request.header.x_appgw_trace_id',
        'http.request.header.x-azure-ref', 'http.request.header.x_azure_ref',
        'guid:x-request-id', 'x-appgw-trace-id', 'kong.request.id', 'aws.request_id', 'aws.extended_request_id', 'apim.request_id', 'faas.invocation_id', 'faas.execution'),
            SpanAttributes) AS known_map,
        arrayMap((k, v) -> concat(k, '\x1d', v), mapKeys(known_map), mapValues(known_map)) AS known
    FROM hopline.otel_traces_local
)
GROUP BY TraceId
