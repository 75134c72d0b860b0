CREATE TABLE IF NOT EXISTS hopline.record_hour ON CLUSTER mesh AS hopline.record_hour_local
ENGINE = Distributed(mesh, hopline, record_hour_local, cityHash64(hour))
