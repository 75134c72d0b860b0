CREATE TABLE IF NOT EXISTS hopline.otel_metrics_sum ON CLUSTER mesh AS hopline.otel_metrics_sum_local
ENGINE = Distributed(mesh, hopline, otel_metrics_sum_local, cityHash64(ServiceName, MetricName, Attributes))
