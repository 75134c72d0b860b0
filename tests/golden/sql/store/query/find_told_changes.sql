SELECT change_id, at_ns, if(kind = '', 'change', kind), gateway, api, service, value, title, url
FROM {database:Identifier}.change FINAL
WHERE at >= toDateTime(intDiv({start_ns:Int64}, 1000000000)) AND at <= toDateTime(intDiv({end_ns:Int64}, 1000000000))
    AND at_ns >= {start_ns:Int64} AND at_ns < {end_ns:Int64}
    AND ({gateway:String} = '' OR gateway = {gateway:String})
    AND ({api:String} = '' OR api = {api:String})
    AND ({service:String} = '' OR service = {service:String})
ORDER BY at_ns DESC, change_id
LIMIT {limit:UInt32}
