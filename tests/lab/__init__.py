"""
Ground truth: real Envoys with injected behaviour, and how right Hopline's answers about it are.

In: scenarios that say what is done to a request. Out: a table of right and wrong answers.
May import: `collector.demo` (meshes), `tests.service` (the built service). Never: Hopline's rooms.
Read first: `scenario.py` (what a truth is), `kinds.py` (the scenarios), `run.py` (how they run).
"""
