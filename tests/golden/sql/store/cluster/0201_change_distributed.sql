CREATE TABLE IF NOT EXISTS hopline.change ON CLUSTER mesh AS hopline.change_local
ENGINE = Distributed(mesh, hopline, change_local, cityHash64(change_id))
