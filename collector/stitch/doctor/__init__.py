"""
The propagation doctor: which hop breaks the trace context, how often, and what to change.

In: a stitched tree, its timeline, many timelines. Out: findings of one request; diagnoses with
share of traffic, examples and fix. May import: the rest of `stitch`. Never: anything that is not in
what it is given.
Read first: `rule.py`, which says what a rule is; then `diagnose.py`.
"""
