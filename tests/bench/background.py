"""How many requests background stitching gets through in a CPU-second: store, rules and rows."""

import gc
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from collector.config import load_settings
from collector.query.learned.freshness import Freshness
from collector.query.service import QueryService
from collector.store import open_store
from collector.telemetry import Metrics
from tests.bench.runs import Row
from tests.manual_clock import ManualClock
from tests.stories import MINUTE, MS, NOW, joined_story, tell

_TARGET = 1_500


def measure_background(requests: int = 3_000) -> Iterator[Row]:
    """Give one row: requests of a record and six spans each, all of them drawn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = load_settings(data_dir=folder, ttl_days=0)
        clock, metrics = ManualClock(NOW), Metrics()
        store = open_store(settings.store(), clock, metrics)
        store.migrate()
        stories = [
            joined_story(number, NOW - 10 * MINUTE + number * 100 * MS, 80 * MS)
            for number in range(1, requests + 1)
        ]
        tell(stories, settings, store, clock)
        questions = QueryService(store, clock, Freshness(store, clock, folder), metrics=metrics)
        work = questions.background(1.0)
        work._rate = requests  # what a core is believed to do decides how many are drawn
        clock.advance(s=11)
        # as the query process does
        gc.set_threshold(50_000)
        gc.collect()
        gc.freeze()
        stitched, is_behind, begin_s = 0, True, time.process_time()
        while is_behind:
            step = work.step()
            stitched += step.stitched
            is_behind = step.is_behind
        rate = stitched / (time.process_time() - begin_s)
        questions.close()
        store.close()
    yield Row(
        f"background stitching, {stitched:,} of {requests:,} requests of 7 parts",
        f"{rate:,.0f} requests/CPU s",
        f"≥ {_TARGET:,}",
        rate >= _TARGET,
    )


if __name__ == "__main__":
    for row in measure_background():
        print(row.what, row.figure, row.target, sep="; ")
