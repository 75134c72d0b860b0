-- $1: nanoseconds. The bucket they are kept in.
toStartOfFiveMinutes(toDateTime(intDiv($1, 1000000000)))
