import math

import numpy as np
import pytest
import torch

from tagger.contrastive import supervised_contrastive_loss, tag_overlap


def test_overlap_is_the_jaccard_index_of_tag_sets():
    memberships = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=bool)
    judged = np.array([True, True, True, True, False])
    overlap = tag_overlap(memberships, judged)
    assert overlap[0, 1] == 0.5
    assert overlap[2, 3] == 1
    assert overlap[1, 2] == 0
    assert not overlap[4].any()
    assert not overlap[:, 4].any()
    assert (overlap == overlap.T).all()


def test_loss_of_three_papers_by_hand():
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    similarity = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    expected = math.log(1 + math.exp(-1 / 0.5))
    loss = supervised_contrastive_loss(vectors, similarity, temperature=0.5)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_neighbours_of_one_tag_cost_less_than_strangers():
    similarity = torch.kron(torch.eye(2), torch.ones(2, 2))
    near = torch.tensor([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    far = near[[0, 2, 1, 3]]
    assert supervised_contrastive_loss(near, similarity, 0.1) < supervised_contrastive_loss(
        far, similarity, 0.1
    )


def test_a_batch_without_positives_has_no_loss_and_a_gradient():
    vectors = torch.randn(3, 4, requires_grad=True)
    loss = supervised_contrastive_loss(vectors, torch.eye(3), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert vectors.grad is not None
    assert not vectors.grad.any()
