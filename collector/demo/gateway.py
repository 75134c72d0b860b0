"""
The process in front of the mesh: the API Management stand-in with the Log Analytics it logs into.

`python -m collector.demo.gateway http://mesh-ingress [low_s high_s]` prints one line of JSON with
the address of each once both listen. A row is ingested after a time between *low_s* and *high_s*.
"""

import asyncio
import json
import signal
import sys
from dataclasses import dataclass

from collector.demo.apim import WORKSPACE, ApiManagement, Delay
from collector.demo.log_analytics import LogAnalytics
from collector.demo.shop import publish


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the two listen. A port of 0 is any free one."""

    host: str = "127.0.0.1"
    gateway_port: int = 0
    log_analytics_port: int = 0


async def run(backend_url: str, delay: Delay, listen: Listen) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    logs = LogAnalytics(workspaces=(WORKSPACE,))
    gateway = ApiManagement(publish(backend_url), logs, delay)
    addresses = {
        "log_analytics": await logs.start(listen.host, listen.log_analytics_port),
        "gateway": await gateway.start(listen.host, listen.gateway_port),
    }
    print(json.dumps(addresses), flush=True)
    await stopped.wait()
    await gateway.stop()
    await logs.stop()


def main() -> None:
    """Read the command line."""
    backend_url, *bounds = sys.argv[1:]
    asyncio.run(run(backend_url, Delay(*map(float, bounds)), Listen()))


if __name__ == "__main__":
    main()
