-- Which of the trace ids and request ids of the edges of a range are carried by a gateway record of about that time.
-- Of very many edges that is a tenth of the work of asking id_index, which is in no order of time, for each of them.
-- The keys of a record are those of id_index_record_mv.
{% from "macros/ids.sql" import request_id_key %}
{% from "macros/requests.sql" import five_minutes %}
SELECT key
FROM (
    SELECT
        gateway, record_id,
        arrayJoin(arrayConcat(
            [trace_id, {{ request_id_key("record_id") }}],
            arrayMap(i -> if(i.1 = 'trace_id', lower(i.2), {{ request_id_key("i.2") }}), ids))) AS key
    FROM {database:Identifier}.gateway_record
    WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} - 600 AND bucket <= {{ five_minutes("{end_ns:Int64}") }} + 600
)
WHERE key != '' AND key GLOBAL IN (
    SELECT arrayJoin([trace_id, edge.request_key]) FROM {database:Identifier}.trace_summary
    WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }})
GROUP BY key
HAVING uniq(gateway, record_id) <= {max_traces_of_id:UInt32}
ORDER BY key
