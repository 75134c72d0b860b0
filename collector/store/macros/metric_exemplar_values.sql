-- The exemplars of the data point `p`.
arrayMap(a -> {{attribute_map:a}}, p.exemplars.filtered_attributes) AS `Exemplars.FilteredAttributes`,
    arrayMap(t -> {{moment:t}}, p.exemplars.time_unix_nano) AS `Exemplars.TimeUnix`,
    arrayMap((d, i) -> if(i != 0, toFloat64(i), d), p.exemplars.as_double, p.exemplars.as_int) AS `Exemplars.Value`,
    arrayMap(i -> {{hex_id:i}}, p.exemplars.span_id) AS `Exemplars.SpanId`,
    arrayMap(i -> {{hex_id:i}}, p.exemplars.trace_id) AS `Exemplars.TraceId`
