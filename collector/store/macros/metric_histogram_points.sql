Array(Tuple(
        attributes {{attribute_list}}, start_time_unix_nano UInt64, time_unix_nano UInt64,
        count UInt64, sum Float64, min Float64, max Float64,
        bucket_counts Array(UInt64), explicit_bounds Array(Float64),
        flags UInt32, exemplars {{metric_exemplar_list}}))
