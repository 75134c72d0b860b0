CREATE TABLE IF NOT EXISTS hopline.otel_logs ON CLUSTER mesh AS hopline.otel_logs_local
ENGINE = Distributed(mesh, hopline, otel_logs_local, cityHash64(if(TraceId = '', toString(Timestamp), TraceId)))
