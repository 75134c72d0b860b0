-- otel_metrics_sum of all shards together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
{% from "macros/metrics.sql" import metric_shard %}
CREATE TABLE IF NOT EXISTS {{ database }}.otel_metrics_sum {{ on_cluster }} AS {{ database }}.otel_metrics_sum_local
ENGINE = Distributed({{ cluster }}, {{ database }}, otel_metrics_sum_local, {{ metric_shard() }})
