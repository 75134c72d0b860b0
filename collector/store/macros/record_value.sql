-- What a search for gateway records is ordered by.
start_ns -- when by_start
answer_ns -- when by_duration
