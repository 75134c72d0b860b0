CREATE TABLE IF NOT EXISTS hopline.otel_metrics_gauge ON CLUSTER mesh AS hopline.otel_metrics_gauge_local
ENGINE = Distributed(mesh, hopline, otel_metrics_gauge_local, cityHash64(ServiceName, MetricName, Attributes))
