-- Whether a gateway record has spans: under its trace id, or under an id that some spans carry and
-- not so many traces that it means none of them. Reads the whole range, so it is a last resort.
(trace_id GLOBAL IN (SELECT trace_id FROM {database:Identifier}.trace_summary WHERE {{around:bucket}})
    OR record_id GLOBAL IN (
        SELECT record_id FROM {database:Identifier}.id_index
        WHERE {{around:bucket}} AND record_id != '' AND key GLOBAL IN (
            SELECT key FROM {database:Identifier}.id_index
            WHERE {{around:bucket}} AND record_id = ''
            GROUP BY key HAVING uniq(trace_id) <= 16)))
