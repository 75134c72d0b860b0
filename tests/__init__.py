"""The test suite; `unit`, `contract`, `integration` and `acceptance` as README.md describes them."""
