CREATE TABLE IF NOT EXISTS hopline.node_status ON CLUSTER mesh AS hopline.node_status_local
ENGINE = Distributed(mesh, hopline, node_status_local, cityHash64(node))
