-- The traces in which a service took part, a little around the range: edge spans start first.
SELECT trace_id FROM {database:Identifier}.trace_summary
WHERE bucket >= {{five_minutes:{start_ns:Int64}}} - 3600
    AND bucket <= {{five_minutes:{end_ns:Int64}}} + 3600
    AND has(services, {service:String})
