-- Whether a record comes before `last` or with it; said so that the table's order or index helps.
(value, start_ns) >= last
    AND bucket >= {{five_minutes:last.2}} -- when by_start
    AND answer_ns >= last.1 -- when by_duration
