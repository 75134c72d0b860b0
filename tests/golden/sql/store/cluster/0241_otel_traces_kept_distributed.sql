CREATE TABLE IF NOT EXISTS hopline.otel_traces_kept ON CLUSTER mesh AS hopline.otel_traces_kept_local
ENGINE = Distributed(mesh, hopline, otel_traces_kept_local, cityHash64(TraceId))
