"""
The rules that make one timeline of gateway records and spans: pure functions.

In: records, spans and logs that may belong to one request, and what is known of the sources' lag.
Out: a `Timeline`. May import: `decode` (but no adapter), `identity`, `attributes`, `errors`,
`model`. Never: a clock, the network, the disk, and never recursion over input, which may be 100,000
spans deep.
Read first: `inputs.py` and `timeline.py`, then `pipeline.py`, which calls the rules in their order.
"""
