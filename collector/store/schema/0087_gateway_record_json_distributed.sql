-- The same column in gateway_record of all shards together; said the same, or inserts would send it along.
-- Source: ClickHouse documentation, Distributed table engine.
-- only: cluster
{% from "macros/record_json.sql" import record_json %}
ALTER TABLE {{ database }}.gateway_record {{ on_cluster }}
ADD COLUMN IF NOT EXISTS record_json String MATERIALIZED {{ record_json() }}
