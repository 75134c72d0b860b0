"""
Gateways that are told in a file: where each fact of a record lies in an entry of their log.

In: TOML. Out: a `Reader` for each gateway in it. May import: what adapters may. Never: an adapter,
or code for one product. Read first: `mapping.Mapping`, then `../gateways/traefik.toml`.
"""
