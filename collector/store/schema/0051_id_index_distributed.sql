-- id_index of all shards together.
-- Rows lie beside the trace or record they come from; a lookup asks every shard.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.id_index {{ on_cluster }} AS {{ database }}.id_index_local
ENGINE = Distributed({{ cluster }}, {{ database }}, id_index_local, cityHash64(key))
