-- Whether a gateway record has spans: under its trace id, or under an id that some spans carry and
-- not so many traces that it means none of them. Reads the whole range, so it is a last resort.
-- Ids are compared by a hash: sets of a million numbers are built ten times as fast as of texts.
(cityHash64(trace_id) GLOBAL IN (
        SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary WHERE {{around:bucket}})
    OR cityHash64(gateway, record_id) GLOBAL IN (
        SELECT cityHash64(gateway, record_id) FROM {database:Identifier}.id_index
        WHERE {{around:bucket}} AND gateway != '' AND cityHash64(key) GLOBAL IN (
            SELECT cityHash64(key) AS hash FROM {database:Identifier}.id_index
            WHERE {{around:bucket}} AND gateway = ''
            GROUP BY hash HAVING count() <= 16)))
