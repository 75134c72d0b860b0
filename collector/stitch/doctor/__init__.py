"""
The propagation doctor: which hop breaks the trace context, how often, and what to change.

In: stitched timelines. Out: diagnoses with share of traffic, examples and fix. May import: the rest
of `stitch`. Never: anything that is not in the timelines.
Read first: `catalogue.py`, the table of all rules; then `diagnose.py`.
"""
