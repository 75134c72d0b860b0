-- The request ids that spans carry, one row per trace and id.
-- Header attributes are arrays by the semantic conventions and plain text from older libraries.
-- Source: semantic conventions (http.request.header.<key>, aws.*, faas.*); Envoy's tag guid:x-request-id.
{% from "macros/ids.sql" import request_id_key, span_ids %}
{% from "macros/requests.sql" import five_minutes %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.id_index_span_mv {{ on_cluster }}
TO {{ database }}.id_index{{ local }} AS
SELECT
    {{ request_id_key("value") }} AS key,
    transform(name,
        [{{ span_ids(0) }}],
        [{{ span_ids(1) }}],
        '') AS kind,
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
