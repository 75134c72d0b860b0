fromUnixTimestamp64Nano(toInt64($1))
