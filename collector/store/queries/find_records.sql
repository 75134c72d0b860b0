-- Stored versions of gateway records that fit a filter, in the order of a search, behind a cursor.
-- By duration, connections come last: a long one is no slow request.
-- A version may be out of date: the caller keeps those that are the newest of their record.
SELECT
    multiIf({order:String} = '-start', start_ns, {{record_is_answer}}, ifNull(duration_ns, -1), -1) AS value,
    start_ns, gateway, record_id, received_ns
FROM {database:Identifier}.gateway_record
WHERE bucket >= {{five_minutes:{start_ns:Int64}}} AND bucket <= {{five_minutes:{end_ns:Int64}}}
    AND {{record_filter}}
    AND ({service:String} = '' OR trace_id = '' OR trace_id GLOBAL IN ({{traces_of_service}}))
    AND ({joined:Int32} = -1 OR source = 'span' OR {{record_is_joined}} = ({joined:Int32} = 1))
    AND value <= {after_value:Int64}
    AND (value, start_ns, toString(gateway), record_id, received_ns)
        < ({after_value:Int64}, {after_start_ns:Int64}, {after_gateway:String}, {after_id:String},
           {after_received_ns:Int64})
ORDER BY value DESC, start_ns DESC, toString(gateway) DESC, record_id DESC, received_ns DESC
LIMIT {limit:UInt32}
