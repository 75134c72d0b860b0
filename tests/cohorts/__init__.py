"""
A lab for the question why requests are slow: populations with a planted cause, and the answers.

`python -m tests.cohorts` runs every kind with five seeds and writes `README.md`; a short form is
part of `make test`.
"""
