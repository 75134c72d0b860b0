CREATE TABLE IF NOT EXISTS hopline.id_index ON CLUSTER mesh AS hopline.id_index_local
ENGINE = Distributed(mesh, hopline, id_index_local, cityHash64(key))
