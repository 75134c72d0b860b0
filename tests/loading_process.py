"""
A process that loads segments two at a time, to be killed: `python -m tests.loading_process`.

It prints the name of each segment when it begins with it, and deletes what is loaded.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from collector.model import Stream
from tests.stored import MadeSegment, opened, store_settings


def main() -> None:
    """Load everything in the folder of segments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--segments", type=Path, required=True)
    arguments = parser.parse_args()
    with (
        opened(store_settings(arguments.data, loads_at_once=2)) as store,
        ThreadPoolExecutor(2) as threads,
    ):

        def load(path: Path) -> None:
            stream, _, id_ = path.stem.partition("-")
            print(path.name, flush=True)
            store.load(MadeSegment(id_, Stream(stream), path))
            path.unlink()

        for _ in threads.map(load, sorted(arguments.segments.glob("*.seg"))):
            pass


if __name__ == "__main__":
    main()
