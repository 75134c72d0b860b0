-- otel_metrics_gauge of all shards together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
{% from "macros/metrics.sql" import metric_shard %}
CREATE TABLE IF NOT EXISTS {{ database }}.otel_metrics_gauge {{ on_cluster }} AS {{ database }}.otel_metrics_gauge_local
ENGINE = Distributed({{ cluster }}, {{ database }}, otel_metrics_gauge_local, {{ metric_shard() }})
