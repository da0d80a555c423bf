"""What can be undone and redone."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

State = TypeVar("State")

STEPS = 200
"""Changes that can be undone."""


class History(Generic[State]):
    """States before and after the current one.

    All changes while a control moves count as one, from where the movement began.
    """

    def __init__(self) -> None:
        self.past: deque[State] = deque(maxlen=STEPS)
        self.future: list[State] = []
        self._before_movement: State | None = None

    @property
    def moving(self) -> bool:
        """Whether a control moves."""
        return self._before_movement is not None

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self.past) or self.moving

    @property
    def can_redo(self) -> bool:
        """Whether a change was taken back."""
        return bool(self.future) and not self.moving

    def record(self, old: State, new: State, *, moving: bool) -> None:
        """Remember a change; ``moving``: the control still moves."""
        if self._before_movement is not None:
            old = self._before_movement
        self._before_movement = old if moving else None
        if not moving and new != old:
            self.past.append(old)
            self.future.clear()

    def clear(self) -> None:
        """Forget all states."""
        self.past.clear()
        self.future.clear()
        self._before_movement = None

    def undo(self, current: State) -> State:
        """Return the state before the current one."""
        self.future.append(current)
        return self.past.pop()

    def redo(self, current: State) -> State:
        """Return the state that `undo` left."""
        self.past.append(current)
        return self.future.pop()
