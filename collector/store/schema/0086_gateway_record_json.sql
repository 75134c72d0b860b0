-- A whole record in one column, for those who read single records; questions over many read the others.
-- A column of 50 records here and there takes 0.4 CPU ms, whatever is in it: a page takes 9 CPU ms this way
-- and 25 from 52 columns, one record 4 and 11. It takes 70 bytes a record.
-- Rows of before have it too: the engine makes it from the other columns when it is read.
-- Source: model.GatewayRecord.
{% from "macros/record_json.sql" import record_json %}
ALTER TABLE {{ database }}.gateway_record{{ local }} {{ on_cluster }}
ADD COLUMN IF NOT EXISTS record_json String MATERIALIZED {{ record_json() }} CODEC(ZSTD(1))
