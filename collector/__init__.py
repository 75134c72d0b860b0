"""
Hopline: one timeline from the API call to the last internal hop.

The rooms, in the order in which a datum passes them: `receive` or `pull` take bytes in, `intake`
decodes (`decode`), masks and journals (`journal`) them and only then acknowledges, `store` loads
the journal into ClickHouse, `stitch` holds the pure rules that join records and spans, `query`
asks the questions and `api` renders the answers.

Read first: `model.py` (the words), `errors.py` (what a sender is told), `intake.py`.
"""

__version__ = "0.1.0"
