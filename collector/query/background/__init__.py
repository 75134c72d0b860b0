"""
Work that nobody waits for: arriving requests are stitched, and what they add up to is kept.

In: what arrived in the store since the last time. Out: rows of `request` and `api_stat`, metrics.
Read first: `worker.py`.
"""
