"""
Answers about many requests: doctor, joins, outcomes, services and calls.

Read first: `sampling.py`.
"""
