"""A power cut loses nothing that was acknowledged; see `tests/chaos/power.py` for the model."""

from pathlib import Path

from tests.chaos.ledger import Outcome
from tests.chaos.power import power_cut


def test_fifty_power_cuts(tmp_path: Path) -> None:
    """Whatever a file system drops of what was not synced, all that was acknowledged is there."""
    total = Outcome()
    for seed in range(50):
        total.add(power_cut(tmp_path, seed))
    assert total.acknowledged > 1000
    assert (total.lost, total.doubled) == (0, 0)


def test_journal_that_does_not_sync_would_be_noticed(tmp_path: Path) -> None:
    """Without its syncs the same journal loses what it acknowledged: the model does lose pages."""
    lost = sum(power_cut(tmp_path, seed, sync_file=lambda _: None).lost for seed in range(5))
    assert lost
