-- gateway_record of all shards together.
-- By its own id: a record may not know its trace, and versions of one record belong together.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
CREATE TABLE IF NOT EXISTS {{ database }}.gateway_record {{ on_cluster }} AS {{ database }}.gateway_record_local
ENGINE = Distributed({{ cluster }}, {{ database }}, gateway_record_local, cityHash64(record_id))
