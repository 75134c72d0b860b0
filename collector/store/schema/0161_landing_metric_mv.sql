-- One row per metric out of landing_metric. A metric has data of one kind; the others are empty.
-- Each nesting level is unfolded in its own subquery, so that a level carries only what the next one needs.
-- Source: opentelemetry-proto v1.11.0 metrics.proto.
{% from "macros/otlp.sql" import attribute_map %}
CREATE MATERIALIZED VIEW IF NOT EXISTS {{ database }}.landing_metric_mv {{ on_cluster }}
TO {{ database }}.metric_part AS
SELECT
    resource, resource_schema_url, scope_name, scope_version, scope_attributes, scope_dropped, scope_schema_url,
    m.name AS name,
    m.description AS description,
    m.unit AS unit,
    greatest(
        m.sum.aggregation_temporality, m.histogram.aggregation_temporality,
        m.exponential_histogram.aggregation_temporality) AS temporality,
    m.sum.is_monotonic AS is_monotonic,
    m.gauge.data_points AS gauge,
    m.sum.data_points AS sum,
    m.histogram.data_points AS histogram,
    m.exponential_histogram.data_points AS exponential_histogram,
    m.summary.data_points AS summary,
    received_ns, tenant
FROM (
    SELECT
        resource, resource_schema_url, sm.scope.name AS scope_name, sm.scope.version AS scope_version,
        {{ attribute_map("sm.scope.attributes") }} AS scope_attributes,
        sm.scope.dropped_attributes_count AS scope_dropped, sm.schema_url AS scope_schema_url,
        sm.metrics AS metrics, received_ns, tenant
    FROM (
        SELECT
            {{ attribute_map("r.resource.attributes") }} AS resource, r.schema_url AS resource_schema_url,
            r.scope_metrics AS scope_metrics, received_ns, tenant
        FROM (
            SELECT r, received_ns, tenant
            FROM {{ database }}.landing_metric
            ARRAY JOIN resource_metrics AS r
        )
    )
    ARRAY JOIN scope_metrics AS sm
)
ARRAY JOIN metrics AS m
