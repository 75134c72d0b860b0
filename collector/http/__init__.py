"""
What every HTTP port shares: the server, its protocols and limits, headers, tokens, error bodies.

In: sockets and an ASGI application. Out: HTTP/1.1 and HTTP/2 (prior knowledge) with caps. May
import: `config`, `errors`. Never: what a body means. Read first: `server.py`.
"""
