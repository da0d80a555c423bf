import numpy as np
import torch

from training.captions import Caption
from training.train import contrastive_loss, learning_rate, relations


def test_relations_leave_ambiguous_pairs_out():
    captions = [Caption("a", 0b01), Caption("red a", 0b01, checkable=False)]
    true, false = relations(captions, np.array([0b01, 0b11]), np.array([0b01, 0b11]))
    assert true.tolist() == [[True, False], [True, True]]
    assert not false.any()
    captions = [Caption("a", 0b01), Caption("b", 0b10)]
    true, false = relations(captions, np.array([0b01, 0b10]), np.array([0b11, 0b10]))
    assert true.tolist() == [[True, False], [False, True]]
    assert false.tolist() == [[False, False], [True, False]]


def test_loss_falls_when_true_pairs_rise():
    true, false = torch.eye(3, dtype=torch.bool), ~torch.eye(3, dtype=torch.bool)
    low, high = (contrastive_loss(k * torch.eye(3), true, false) for k in (1.0, 9.0))
    assert high < low


def test_learning_rate_warms_up_and_ends_at_zero():
    rates = [learning_rate(step, 1000) for step in (0, 99, 100, 999)]
    assert rates[0] < rates[1] <= rates[2]
    assert rates[3] < 1e-7
