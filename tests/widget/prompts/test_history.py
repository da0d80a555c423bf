"""What can be undone and redone."""

from __future__ import annotations

from napari_gem.widget.prompts.history import STEPS, History


def test_changes_are_undone_and_redone():
    history = History()
    history.record(0, 1, moving=False)
    history.record(1, 2, moving=False)
    assert history.undo(2) == 1
    assert history.undo(1) == 0
    assert not history.can_undo
    assert history.redo(0) == 1
    history.record(1, 5, moving=False)
    assert not history.can_redo
    assert history.undo(5) == 1


def test_a_movement_is_one_change_from_where_it_began():
    history = History()
    history.record(0, 1, moving=True)
    history.record(1, 2, moving=True)
    assert history.moving
    assert history.can_undo
    assert not history.past
    history.record(2, 3, moving=False)
    assert list(history.past) == [0]
    history.record(3, 4, moving=True)
    history.record(4, 3, moving=False)
    assert list(history.past) == [0], "it ended where it began"


def test_the_oldest_changes_are_forgotten():
    history = History()
    for state in range(STEPS + 5):
        history.record(state, state + 1, moving=False)
    assert history.past[0] == 5
    history.clear()
    assert not history.can_undo
