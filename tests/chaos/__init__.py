"""What must not cost an acknowledged span or record, tried for real; see README.md beside this."""
