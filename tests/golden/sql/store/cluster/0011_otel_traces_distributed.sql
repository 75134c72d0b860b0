CREATE TABLE IF NOT EXISTS hopline.otel_traces ON CLUSTER mesh AS hopline.otel_traces_local
ENGINE = Distributed(mesh, hopline, otel_traces_local, cityHash64(TraceId))
