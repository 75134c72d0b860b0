-- The traces of a range, and of an hour around it, with the lowest hashes: those of the records of sample_records. To go
-- through the ids of a range takes less than to look some thousands of them up, each in every part of a table.
{% from "macros/requests.sql" import around %}
SELECT DISTINCT trace_id
FROM {database:Identifier}.trace_summary
WHERE {{ around("bucket") }} AND cityHash64(trace_id) <= {most:UInt64}
ORDER BY trace_id
LIMIT {limit:UInt32}
