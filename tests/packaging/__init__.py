"""
What is installed and deployed, tried: wheel, image, chart, units, kits.

In: the repository's own files and tools from the package registries' ordinary clients. Tools that
take long to build are kept in `~/.cache/hopline-tests` and built again only when their version
changes. A test that needs Go, Node.js, Maven or debootstrap says so when it is skipped.
Read first: `tools.py`.
"""
