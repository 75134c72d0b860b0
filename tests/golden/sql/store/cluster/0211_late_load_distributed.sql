CREATE TABLE IF NOT EXISTS hopline.late_load ON CLUSTER mesh AS hopline.late_load_local
ENGINE = Distributed(mesh, hopline, late_load_local, cityHash64(from_ns))
