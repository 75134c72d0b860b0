CREATE TABLE IF NOT EXISTS hopline.source_stat ON CLUSTER mesh AS hopline.source_stat_local
ENGINE = Distributed(mesh, hopline, source_stat_local, cityHash64(source))
