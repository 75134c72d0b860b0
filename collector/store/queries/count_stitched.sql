-- How many stitched requests of a range fit, for how many they stand, and what their durations are.
{% from "macros/requests.sql" import fits, in_range %}
SELECT
    count() AS stitched, sum(weight) AS requests, sumIf(weight, is_error) AS errors, countIf(isNotNull(duration_ns)) AS measured,
    quantilesTDigestWeightedIf(0.5, 0.95, 0.99)(ifNull(duration_ns, 0), weight, isNotNull(duration_ns)) AS durations,
    sumIf(weight, origin = 'record') AS recorded, sumIf(weight, isNotNull(open_ns)) AS open
FROM {database:Identifier}.request FINAL
WHERE {{ in_range() }} AND NOT is_probe AND {{ fits() }} AND ({service:String} = '' OR has(services, {service:String}))
SETTINGS do_not_merge_across_partitions_select_final = 1
