CREATE TABLE IF NOT EXISTS hopline.logged_request ON CLUSTER mesh AS hopline.logged_request_local
ENGINE = Distributed(mesh, hopline, logged_request_local, cityHash64(key))
