-- Stored versions of gateway records that fit a filter, in the order of a search, from a cursor on: at
-- least `limit`, and all that are equal in value and start to the last.
-- By duration, connections come last: a long one is no slow request.
-- In two passes: the first finds value and start of the last row wanted, from two columns that are quick
-- to read, the second reads the other columns of the rows up to there. A million records take 20 CPU ms that
-- way, and 58 in one pass. Where deciding on a row costs more than reading it, one pass is better.
-- A version may be out of date: the caller keeps those that are the newest of their record.
WITH ( -- when two_passes
    SELECT min((value, start_ns)) FROM ( -- when two_passes
        SELECT -- when two_passes
            {{record_value}} AS value, start_ns -- when two_passes
        FROM {database:Identifier}.gateway_record -- when two_passes
        WHERE {{record_search}} -- when two_passes
        ORDER BY value DESC, start_ns DESC -- when two_passes
        LIMIT {limit:UInt32}) -- when two_passes
) AS last -- when two_passes
SELECT
    {{record_value}} AS value, start_ns, gateway, record_id, received_ns
FROM {database:Identifier}.gateway_record
WHERE {{record_search}}
    AND {{record_reaches_last}} -- when two_passes
ORDER BY value DESC, start_ns DESC
LIMIT {limit:UInt32} WITH TIES -- when one_pass
