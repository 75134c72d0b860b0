lower(hex($1))
