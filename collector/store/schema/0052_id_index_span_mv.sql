-- The request ids that spans carry, one row per trace and id.
-- Header attributes are arrays by the semantic conventions and plain text from older libraries.
-- Source: semantic conventions (http.request.header.<key>, aws.*); Envoy's tag guid:x-request-id.
{% from "macros/ids.sql" import request_id_key %}
{% from "macros/requests.sql" import five_minutes %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.id_index_span_mv {{ on_cluster }}
TO {{ database }}.id_index{{ local }} AS
SELECT
    {{ request_id_key("value") }} AS key,
    transform(name,
        ['http.request.header.x-correlation-id', 'kong.request.id', 'aws.request_id', 'aws.extended_request_id', 'apim.request_id', 'x-appgw-trace-id', 'http.request.header.x-appgw-trace-id'],
        ['correlation_id', 'kong_request_id', 'aws_request_id', 'aws_extended_request_id', 'apim_correlation_id', 'transaction_id', 'transaction_id'],
        'x_request_id') AS kind,
    trace_id,
    '' AS gateway,
    '' AS record_id,
    {{ five_minutes("start_ns") }} AS bucket,
    start_ns,
    received_ns
FROM (
    SELECT name, value, trace_id, start_ns, received_ns
    FROM (
        SELECT
            splitByChar('\x1d', id)[1] AS name, splitByChar('\x1d', id)[2] AS text,
            trace_id, start_ns, received_ns
        FROM {{ database }}.trace_part
        ARRAY JOIN ids AS id
    )
    ARRAY JOIN if(startsWith(text, '['), JSONExtract(text, 'Array(String)'), [text]) AS value
)
WHERE key != ''
