CREATE TABLE IF NOT EXISTS hopline.trace_summary ON CLUSTER mesh AS hopline.trace_summary_local
ENGINE = Distributed(mesh, hopline, trace_summary_local, cityHash64(trace_id))
