-- Stored versions of gateway records that fit a filter, in the order of a search, from a cursor on: at
-- most `limit`, or all that are equal in value and start to the last of them.
-- By duration, connections come last: a long one is no slow request.
-- The order has no more columns than it needs, and ties are only asked for where there is nothing else: then
-- the engine reads the other columns of the rows that it returns, and not of all (250,000 records: 21 CPU ms
-- instead of 32; in two statements, the first of which finds the last row's value, 38).
-- A version may be out of date: the caller keeps those that are the newest of their record.
SELECT
    {{record_value}} AS value, start_ns, gateway, record_id, received_ns, trace_id
FROM {database:Identifier}.gateway_record
WHERE {{record_search}}
ORDER BY value DESC, start_ns DESC
LIMIT {limit:UInt32}
    WITH TIES -- when with_ties
