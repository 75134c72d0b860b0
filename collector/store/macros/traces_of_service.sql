-- The traces in which a service took part.
SELECT trace_id FROM {database:Identifier}.trace_summary
WHERE {{around:bucket}} AND has(services, {service:String})
