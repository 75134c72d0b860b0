"""
A stretch of network that is slow one way: what the gateway sends arrives late.
"""

import asyncio
import contextlib


class SlowNetwork:
    """Relays TCP to *port* of this machine; bytes towards it wait *delay_ms* first."""

    def __init__(self, port: int, delay_ms: float) -> None:
        self._port = port
        self._delay_s = delay_ms / 1000
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen and return the base address."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                await asyncio.gather(
                    _copy(reader, inner_writer, self._delay_s), _copy(inner_reader, writer, 0)
                )
            finally:
                inner_writer.close()
                writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    while data := await reader.read(65_536):
        if delay_s:
            await asyncio.sleep(delay_s)
        writer.write(data)
        await writer.drain()
    writer.close()
