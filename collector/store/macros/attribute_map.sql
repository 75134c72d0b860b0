CAST(mapFromArrays($1.key, arrayMap(v -> {{attribute_text:v}}, $1.value)), 'Map(LowCardinality(String), String)')
