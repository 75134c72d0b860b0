-- Where gateway_record keeps some records, found by their traces or by their own ids, once for each insert; also
-- what else has such a key, which the caller leaves out. More conditions than the key's would be looked up in the
-- order of id_index as well, and to search it for three at once takes half as long again.
-- Keys that are computed are a subquery: with `IN arrayMap(…)` the engine does not use the order of id_index
-- and reads all of it (1,028 of 1,028 granules at a million rows, 5 as it stands).
SELECT trace_id, toUnixTimestamp(bucket) AS bucket_s, record_id, gateway
FROM {database:Identifier}.id_index
PREWHERE key IN {trace_ids:Array(String)}
UNION ALL -- when record_ids
SELECT trace_id, toUnixTimestamp(bucket) AS bucket_s, record_id, gateway -- when record_ids
FROM {database:Identifier}.id_index -- when record_ids
PREWHERE key IN (SELECT arrayJoin(arrayMap(r -> {{request_id_key:r}}, {record_ids:Array(String)}))) -- when record_ids
