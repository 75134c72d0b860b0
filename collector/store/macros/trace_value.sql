-- What a search for traces is ordered by.
{{edge_start:place}} -- when by_start
place.duration_ns -- when by_duration
