CREATE TABLE IF NOT EXISTS hopline.pull_progress ON CLUSTER mesh AS hopline.pull_progress_local
ENGINE = Distributed(mesh, hopline, pull_progress_local, cityHash64(workspace))
