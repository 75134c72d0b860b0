CREATE TABLE IF NOT EXISTS hopline.lease ON CLUSTER mesh AS hopline.lease_local
ENGINE = Distributed(mesh, hopline, lease_local, cityHash64(name))
