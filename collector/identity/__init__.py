"""
Ids of requests in every form that people and protocols write them, and the one form to compare.

In: header values, log fields, text that somebody pasted. Out: normal forms, candidates, addresses.
May import: `model`. Never: a clock, the network, the disk. Read first: `ids.py`.
"""
