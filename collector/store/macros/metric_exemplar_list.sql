Array(Tuple(
            filtered_attributes {{attribute_list}}, time_unix_nano UInt64, as_double Float64, as_int Int64,
            span_id String, trace_id String))
