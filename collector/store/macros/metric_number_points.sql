-- The data points of a gauge or a sum. Of as_double and as_int one is sent.
Array(Tuple(
        attributes {{attribute_list}}, start_time_unix_nano UInt64, time_unix_nano UInt64,
        as_double Float64, as_int Int64, flags UInt32, exemplars {{metric_exemplar_list}}))
