"""
The web pages: one document for every page, scripts and styles as they are, libraries in `vendor`.

In: the answers of the API, and of `/api/page` for what is drawn. Out: what a person sees.
May import: `query`, `stitch.timeline`, `api.workers`, `errors`. Never: logic, SQL, another host.
Read first: `main.js`, which says which page shows what.
"""
