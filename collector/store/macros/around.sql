-- The five minutes of the range and an hour around it: gateway and mesh clocks differ, and an edge
-- span may start before or after its record. $1: a bucket column.
$1 >= {{five_minutes:{start_ns:Int64}}} - 3600 AND $1 <= {{five_minutes:{end_ns:Int64}}} + 3600
