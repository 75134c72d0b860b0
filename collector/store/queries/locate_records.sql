-- Where gateway_record keeps some records, found by their traces or by their own ids, once for each insert.
-- Keys that are computed are a subquery: with `IN arrayMap(…)` the engine does not use the order of id_index
-- and reads all of it (1,028 of 1,028 granules at a million rows, 5 as it stands).
SELECT toUnixTimestamp(bucket) AS bucket_s, record_id, gateway
FROM {database:Identifier}.id_index
WHERE key IN {trace_ids:Array(String)} AND trace_id IN {trace_ids:Array(String)} AND record_id != ''
UNION ALL -- when record_ids
SELECT toUnixTimestamp(bucket) AS bucket_s, record_id, gateway -- when record_ids
FROM {database:Identifier}.id_index -- when record_ids
WHERE key IN (SELECT arrayJoin(arrayMap(r -> {{request_id_key:r}}, {record_ids:Array(String)}))) -- when record_ids
    AND (gateway, record_id) IN {record_keys:Array(Tuple(String, String))} -- when record_ids
