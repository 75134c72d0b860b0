-- A series stays on one shard.
cityHash64(ServiceName, MetricName, Attributes)
