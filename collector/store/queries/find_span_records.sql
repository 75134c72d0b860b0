-- Whether a range, or the hour around it, has gateway records that were made of spans. Without any a statement leaves
-- out what decides which of them count, which are four looks at the same range.
{% from "macros/requests.sql" import around %}
SELECT 1 AS found
FROM {database:Identifier}.gateway_record
WHERE {{ around("bucket") }} AND source = {span_source:String}
ORDER BY found
LIMIT 1
