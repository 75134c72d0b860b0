"""
Where each node lies in time: clocks, critical path, phases, timeouts.

Read first: `placement.py`.
"""
