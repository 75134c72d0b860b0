-- The traces in which a service took part, by a hash of their ids.
SELECT cityHash64(trace_id) FROM {database:Identifier}.trace_summary
WHERE {{around:bucket}} AND has(services, {service:String})
