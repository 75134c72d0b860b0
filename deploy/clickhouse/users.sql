-- Who may do what. Run it once as an administrator, on a cluster with the name that
-- HOPLINE_CLICKHOUSE_CLUSTER has ("main" here); on one server without ON CLUSTER.
-- Passwords are changed afterwards: ALTER USER hopline_ingest IDENTIFIED BY '...'.

CREATE DATABASE IF NOT EXISTS hopline ON CLUSTER main;

-- What the tables need of the server: their names, columns, parts and settings.
CREATE ROLE IF NOT EXISTS hopline_catalog ON CLUSTER main;
GRANT ON CLUSTER main SELECT ON system.tables TO hopline_catalog;
GRANT ON CLUSTER main SELECT ON system.columns TO hopline_catalog;
GRANT ON CLUSTER main SELECT ON system.databases TO hopline_catalog;
GRANT ON CLUSTER main SELECT ON system.parts TO hopline_catalog;
GRANT ON CLUSTER main SELECT ON system.data_skipping_indices TO hopline_catalog;
GRANT ON CLUSTER main SELECT ON system.merge_tree_settings TO hopline_catalog;
GRANT ON CLUSTER main SELECT ON system.errors TO hopline_catalog;

-- `hopline migrate`, and every role at its start: they bring the tables up to date. An upgrade
-- compares them with empty ones, which it makes in a database hopline_wanted_... and drops again.
CREATE ROLE IF NOT EXISTS hopline_migrate ON CLUSTER main;
GRANT ON CLUSTER main hopline_catalog TO hopline_migrate;
GRANT ON CLUSTER main CREATE DATABASE, CREATE TABLE, CREATE VIEW, ALTER, DROP VIEW, SELECT, INSERT ON hopline.* TO hopline_migrate;
GRANT ON CLUSTER main DROP DATABASE, DROP TABLE, DROP VIEW ON hopline_wanted_*.* TO hopline_migrate;
-- Those, and the databases of tenants.
GRANT ON CLUSTER main CREATE DATABASE, CREATE TABLE, CREATE VIEW, ALTER, DROP VIEW, SELECT, INSERT ON hopline_*.* TO hopline_migrate;
GRANT ON CLUSTER main CLUSTER, REMOTE ON *.* TO hopline_migrate;

-- Ingest nodes: they load journals, take turns at polling, and read little.
CREATE USER IF NOT EXISTS hopline_ingest ON CLUSTER main IDENTIFIED WITH sha256_password BY 'change-me';
GRANT ON CLUSTER main hopline_migrate TO hopline_ingest;

-- Query nodes: they read, and keep what they have learned (clocks, watermarks) in tables.
CREATE USER IF NOT EXISTS hopline_query ON CLUSTER main IDENTIFIED WITH sha256_password BY 'change-me';
GRANT ON CLUSTER main hopline_migrate TO hopline_query;

-- Grafana: it reads, with limits that a dashboard cannot lift.
CREATE SETTINGS PROFILE IF NOT EXISTS hopline_reader ON CLUSTER main SETTINGS
    readonly = 2,
    max_execution_time = 30 MAX 30,
    max_memory_usage = 4000000000 MAX 4000000000,
    max_result_rows = 1000000 MAX 1000000,
    max_concurrent_queries_for_user = 20 MAX 20;
CREATE USER IF NOT EXISTS grafana ON CLUSTER main IDENTIFIED WITH sha256_password BY 'change-me' SETTINGS PROFILE 'hopline_reader';
GRANT ON CLUSTER main SELECT ON hopline.* TO grafana;
GRANT ON CLUSTER main SHOW TABLES, SHOW COLUMNS, SHOW DATABASES ON hopline.* TO grafana;
GRANT ON CLUSTER main SELECT ON system.functions TO grafana;
