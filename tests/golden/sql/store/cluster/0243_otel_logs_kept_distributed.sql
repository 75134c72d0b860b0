CREATE TABLE IF NOT EXISTS hopline.otel_logs_kept ON CLUSTER mesh AS hopline.otel_logs_kept_local
ENGINE = Distributed(mesh, hopline, otel_logs_kept_local, cityHash64(TraceId))
