CREATE TABLE IF NOT EXISTS hopline.otel_metrics_exponential_histogram ON CLUSTER mesh AS hopline.otel_metrics_exponential_histogram_local
ENGINE = Distributed(mesh, hopline, otel_metrics_exponential_histogram_local, cityHash64(ServiceName, MetricName, Attributes))
