-- Whether a trace comes before `last` or with it; said so that the table's order or index helps.
(value, edge_start_ns) >= last
    AND bucket >= {{five_minutes:last.2}} - 3600 -- when by_start
    AND place.duration_ns >= last.1 -- when by_duration
