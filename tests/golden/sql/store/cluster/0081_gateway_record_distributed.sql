CREATE TABLE IF NOT EXISTS hopline.gateway_record ON CLUSTER mesh AS hopline.gateway_record_local
ENGINE = Distributed(mesh, hopline, gateway_record_local, cityHash64(record_id))
