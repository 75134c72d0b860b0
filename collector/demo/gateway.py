"""
The process in front of the mesh: the API Management stand-in with the Log Analytics it logs into.

`python -m collector.demo.gateway http://mesh-ingress [low_s high_s]` prints one line of JSON with
the address of each once both listen. A row is ingested after a time between *low_s* and *high_s*.
"""

import asyncio
import json
import signal
import sys

from collector.demo.apim import WORKSPACE, ApiManagement, Delay
from collector.demo.log_analytics import LogAnalytics
from collector.demo.shop import publish


async def run(backend_url: str, delay: Delay) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    logs = LogAnalytics(workspaces=(WORKSPACE,))
    gateway = ApiManagement(publish(backend_url), logs, delay)
    addresses = {"log_analytics": await logs.start(), "gateway": await gateway.start()}
    print(json.dumps(addresses), flush=True)
    await stopped.wait()
    await gateway.stop()
    await logs.stop()


def main() -> None:
    """Read the command line."""
    backend_url, *bounds = sys.argv[1:]
    asyncio.run(run(backend_url, Delay(*map(float, bounds))))


if __name__ == "__main__":
    main()
