-- Whether a stitched request of a range has a hop of a service by this very name; it ends at the first that has one.
{% from "macros/requests.sql" import five_minutes %}
SELECT 1 AS found
FROM {database:Identifier}.request
WHERE bucket >= {{ five_minutes("{start_ns:Int64}") }} AND bucket <= {{ five_minutes("{end_ns:Int64}") }}
    AND start_ns >= {start_ns:Int64} AND start_ns < {end_ns:Int64}
    AND has(hop.service, {service:String})
ORDER BY found
LIMIT 1
