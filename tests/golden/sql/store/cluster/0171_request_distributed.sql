CREATE TABLE IF NOT EXISTS hopline.request ON CLUSTER mesh AS hopline.request_local
ENGINE = Distributed(mesh, hopline, request_local, cityHash64(request_id))
