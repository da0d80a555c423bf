"""The simulation that docs/scaling.md rests on."""

from __future__ import annotations

import pytest

from tests.bench_scaling import simulate


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_share_the_tiles_until_the_client_is_the_slower(workers: int) -> None:
    tiles = 400
    alone = simulate(tiles, workers, encode=0.1, client=0.0)
    assert alone == pytest.approx(tiles * 0.1 / workers)
    hidden = simulate(tiles, workers, encode=0.1, client=0.01)
    assert alone < hidden < 1.05 * alone
    slow = simulate(tiles, workers, encode=0.1, client=0.2)
    assert slow == pytest.approx(tiles * 0.2, rel=0.01)
