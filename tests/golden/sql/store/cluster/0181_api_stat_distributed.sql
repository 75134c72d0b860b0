CREATE TABLE IF NOT EXISTS hopline.api_stat ON CLUSTER mesh AS hopline.api_stat_local
ENGINE = Distributed(mesh, hopline, api_stat_local, cityHash64(bucket))
