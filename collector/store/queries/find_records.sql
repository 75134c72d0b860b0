-- Stored versions of gateway records that fit a filter, in the order of a search, from a cursor on.
-- By duration, connections come last: a long one is no slow request.
-- The first pass finds the value and start of the last row wanted, from two columns that are quick to
-- read; the second reads all columns of the rows up to there, whole groups of equal ones. In one pass with
-- every column in the order a million records take 58 CPU ms, so 20.
-- A version may be out of date: the caller keeps those that are the newest of their record.
WITH (
    SELECT min((value, start_ns)) FROM (
        SELECT
            start_ns AS value, -- when by_start
            answer_ns AS value, -- when by_duration
            start_ns
        FROM {database:Identifier}.gateway_record
        WHERE {{record_search}}
        ORDER BY value DESC, start_ns DESC
        LIMIT {limit:UInt32})
) AS last
SELECT
    start_ns AS value, -- when by_start
    answer_ns AS value, -- when by_duration
    start_ns, gateway, record_id, received_ns
FROM {database:Identifier}.gateway_record
WHERE {{record_search}}
    AND bucket >= {{five_minutes:last.2}} -- when by_start
    AND answer_ns >= last.1 -- when by_duration
    AND (value, start_ns) >= last
ORDER BY value DESC, start_ns DESC, toString(gateway) DESC, record_id DESC, received_ns DESC
