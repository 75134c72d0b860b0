"""
Work that nobody waits for: arriving requests are stitched and kept.

In: what arrived in the store since the last time. Out: rows of `request`, metrics.
Read first: `worker.py`.
"""
