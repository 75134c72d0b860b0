-- Every id of a gateway record: its own, its trace id, and each of `ids`.
-- Source: algorithms.md 3h (which forms are compared).
CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.id_index_record_mv {{on_cluster}}
TO {{database}}.id_index{{local}} AS
SELECT key, kind, trace_id, gateway, record_id, start_ns, received_ns
FROM (
    SELECT
        trace_id, gateway, record_id, start_ns, received_ns,
        id.1 AS kind,
        if(id.1 = 'trace_id', id.2, {{request_id_key:id.2}}) AS key
    FROM {{database}}.gateway_record{{local}}
    ARRAY JOIN arrayConcat(
        [('record_id', record_id), ('trace_id', trace_id)],
        arrayMap(i -> (toString(i.1), i.2), ids)) AS id
)
WHERE key != ''
