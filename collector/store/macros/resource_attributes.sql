-- The attributes of a resource as the exporter's map, computed from the column that is stored.
Map(LowCardinality(String), String) ALIAS JSONExtract(Resource, 'Map(LowCardinality(String), String)')
