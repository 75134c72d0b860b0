"""The test suite: `unit`, `contract`, `integration`, `acceptance`; see README.md."""
