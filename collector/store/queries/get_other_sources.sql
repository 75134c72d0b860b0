-- What the sources beyond the first so many of a stream delivered together; no row where there are none.
SELECT
    stream, count() AS names, sum(delivered) AS total, min(first) AS first_event, max(last) AS last_event,
    max(received) AS last_received
FROM (
    SELECT *, row_number() OVER (PARTITION BY stream ORDER BY delivered DESC, source) AS place
    FROM (
        SELECT
            stream, source, sum(rows) AS delivered, min(first_event_ns) AS first, max(last_event_ns) AS last,
            max(last_received_ns) AS received
        FROM {database:Identifier}.source_stat
        GROUP BY stream, source
    )
)
WHERE place > {each:UInt32}
GROUP BY stream
ORDER BY stream
