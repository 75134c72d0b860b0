"""
The terminal: a client of the query API that draws what it answers.

In: command-line options and JSON of a running Hopline (or a bundle file). Out: text on stdout.
May import: `query` (parameters, sentences and their Markdown), `pull` (its checks), `identity`,
`errors`. Never: the store, a socket that listens. Read first: `commands.py`.
"""
