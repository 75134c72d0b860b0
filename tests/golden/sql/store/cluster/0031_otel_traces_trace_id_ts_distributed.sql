CREATE TABLE IF NOT EXISTS hopline.otel_traces_trace_id_ts ON CLUSTER mesh AS hopline.otel_traces_trace_id_ts_local
ENGINE = Distributed(mesh, hopline, otel_traces_trace_id_ts_local, cityHash64(TraceId))
