"""
Where the lab's gateways log to: Hopline's push door, in batches, some rows late.
"""

import asyncio
from typing import Any

import aiohttp

_FLUSH_S = 0.3


class RecordSink:
    """Collects rows and posts them; late rows wait until `release`."""

    def __init__(self, ingest_url: str) -> None:
        self._url = ingest_url + "/v1/gateway/azure-apim"
        self._rows: list[dict[str, Any]] = []
        self._late: list[dict[str, Any]] = []
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    def add(self, row: dict[str, Any], *, is_late: bool) -> None:
        """Take a row; it is posted within a third of a second, unless it is late."""
        (self._late if is_late else self._rows).append(row)

    def start(self) -> None:
        """Post in the background from now on."""
        self._task = asyncio.create_task(self._flush_forever())

    async def stop(self) -> None:
        """Post what is left, and nothing after that."""
        self._is_stopping = True
        if self._task is not None:
            # Not cancelled: the rows that it is posting would be lost.
            await self._task
        await self.release()

    async def release(self) -> None:
        """Post everything now, also late rows."""
        rows, self._rows, self._late = self._rows + self._late, [], []
        if rows:
            await self._post(rows)

    async def _flush_forever(self) -> None:
        while not self._is_stopping:
            await asyncio.sleep(_FLUSH_S)
            rows, self._rows = self._rows, []
            if rows:
                await self._post(rows)

    async def _post(self, rows: list[dict[str, Any]]) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._url, json={"records": rows}) as answer,
        ):
            receipt = await answer.json()
        if answer.status != 200 or receipt["rejected"]:
            raise RuntimeError(f"the gateway log was refused: {answer.status} {receipt}")
