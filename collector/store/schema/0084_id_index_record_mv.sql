-- Every id of a gateway record: its trace id, each of `ids`, and its own where `ids` does not name it.
-- Which forms are compared: collector/identity.
{% from "macros/ids.sql" import request_id_key %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.id_index_record_mv {{ on_cluster }}
TO {{ database }}.id_index{{ local }} AS
SELECT key, kind, trace_id, gateway, record_id, bucket, start_ns, received_ns
FROM (
    SELECT
        trace_id, gateway, record_id, bucket, start_ns, received_ns,
        id.1 AS kind,
        if(id.1 = 'trace_id', lower(id.2), {{ request_id_key("id.2") }}) AS key
    FROM {{ database }}.gateway_record{{ local }}
    ARRAY JOIN arrayConcat(
        if(arrayExists(i -> lower(i.2) = lower(record_id), ids), [], [('record_id', record_id)]),
        [('trace_id', trace_id)],
        arrayMap(i -> (toString(i.1), i.2), arrayFilter(i -> i.1 != 'trace_id' OR i.2 != trace_id, ids))) AS id
)
WHERE key != ''
