Array(Tuple(key LowCardinality(String), value {{attribute_value}}))
