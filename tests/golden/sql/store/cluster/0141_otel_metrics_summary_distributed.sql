CREATE TABLE IF NOT EXISTS hopline.otel_metrics_summary ON CLUSTER mesh AS hopline.otel_metrics_summary_local
ENGINE = Distributed(mesh, hopline, otel_metrics_summary_local, cityHash64(ServiceName, MetricName, Attributes))
