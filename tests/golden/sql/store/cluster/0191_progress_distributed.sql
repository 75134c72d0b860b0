CREATE TABLE IF NOT EXISTS hopline.progress ON CLUSTER mesh AS hopline.progress_local
ENGINE = Distributed(mesh, hopline, progress_local, cityHash64(name))
