"""
`python -m collector.demo.alone`: the shop, its gateway and traffic, without a Hopline of their own.

For compose, where Hopline runs beside it. Spans go to ports 4317 and 4318 of this machine, so it
shares its network with a collector. The gateway is on port 9000, its Log Analytics on 9001, both on
all addresses.
"""

import asyncio
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from collector.demo.apim import Delay
from collector.demo.children import ChildError
from collector.demo.gateway import Listen, run
from collector.demo.mesh import Collectors, Mesh, is_envoy_installed
from collector.demo.progress import say
from collector.demo.shop import SHOP, without_proxies
from collector.demo.traffic import TrafficError, send, trickle

LISTEN = Listen("0.0.0.0", gateway_port=9000, log_analytics_port=9001)
_COLLECTORS = Collectors(otlp_grpc=4317, otlp_http=4318)
_PAUSE_S = 1.5


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    topology = SHOP if is_envoy_installed() else without_proxies(SHOP)
    with TemporaryDirectory(prefix="hopline-shop-") as folder:
        try:
            with Mesh(topology, _COLLECTORS, Path(folder)) as mesh:
                threading.Thread(target=_send_for_ever, daemon=True).start()
                asyncio.run(run(mesh.gateway_url, Delay(), LISTEN))
        except ChildError as exc:
            say(str(exc))
            return 1
    return 0


def _send_for_ever() -> None:
    for kind in trickle(has_proxies=is_envoy_installed()):
        time.sleep(_PAUSE_S)
        try:
            send(f"http://127.0.0.1:{LISTEN.gateway_port}", kind)
        except TrafficError as exc:
            say(str(exc))


if __name__ == "__main__":
    sys.exit(main())
