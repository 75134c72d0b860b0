-- How data points are cut into partitions and sorted: a series lies together within the hour, and an
-- hour is found without reading the others. The exporter's releases sort by the map itself, which
-- compares texts for every row; its main branch by the hash, as here.
PARTITION BY toDate(least(greatest(TimeUnix, Received - toIntervalDay(7)), Received + toIntervalDay(1)))
ORDER BY (ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix)
