-- Whether a gateway record claims a trace: by its trace id, or by the request id of its edge span.
-- Reads the whole range, so it is a last resort; see record_is_joined.
(cityHash64(trace_id) GLOBAL IN (
        SELECT cityHash64(trace_id) FROM {database:Identifier}.gateway_record
        WHERE {{around:bucket}} AND trace_id != '')
    OR edge.request_key != '' AND cityHash64(edge.request_key) GLOBAL IN (
        SELECT cityHash64(key) AS hash FROM {database:Identifier}.id_index
        WHERE {{around:bucket}} AND gateway != ''
        GROUP BY hash HAVING uniq(gateway, record_id) <= 16))
