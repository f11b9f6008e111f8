import math

import numpy as np
import pytest
import torch
from helpers.tiny_encoder import save_tiny_encoder
from sentence_transformers import SentenceTransformerTrainingArguments

from tagger.contrastive import (
    FrozenLayers,
    encode_by_length,
    fine_tune,
    supervised_contrastive_loss,
)
from tagger.fine_tuning import ContrastiveTarget, FineTuning


def test_overlap_is_the_jaccard_index_of_tag_sets():
    memberships = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=bool)
    judged = np.array([True, True, True, True, False])
    target = ContrastiveTarget(memberships, judged, 1.0)
    overlap = target.similarity(np.arange(5))
    alike, none = [0, 0, 1, 1, 0], [0] * 5
    expected = np.array([[1, 0.5, 0, 0, 0], [0.5, 1, 0, 0, 0], alike, alike, none])
    assert overlap == pytest.approx(expected)
    some = np.array([4, 2, 0])
    assert (target.similarity(some) == overlap[some][:, some]).all()


def test_loss_of_three_papers_by_hand():
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]], requires_grad=True)
    similarity = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    expected = math.log(1 + math.exp(-1 / 0.5))
    loss = supervised_contrastive_loss(vectors, similarity, temperature=0.5)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    # A batch without positives has no loss, and a gradient of zeros.
    nothing = supervised_contrastive_loss(vectors, torch.eye(3), 0.1)
    nothing.backward()
    assert nothing.item() == 0
    assert not vectors.grad.any()


def test_several_gpus_do_not_share_out_a_batch_and_narrow_encoders_learn_as_fast(
    tmp_path, monkeypatch
):
    taken = []

    class OfTwo(SentenceTransformerTrainingArguments):
        def __post_init__(self):
            super().__post_init__()
            self._n_gpu = 2

    def trainer(*, args, **_given):
        taken.append((args.n_gpu, args.learning_rate))
        raise InterruptedError

    monkeypatch.setattr("tagger.contrastive._QuietTrainer", trainer)
    monkeypatch.setattr("tagger.contrastive.SentenceTransformerTrainingArguments", OfTwo)
    target = ContrastiveTarget(np.eye(2, dtype=bool), np.ones(2, dtype=bool), 1.0)
    encoder = str(save_tiny_encoder(tmp_path))
    with pytest.raises(InterruptedError):
        fine_tune(["a", "b"], {"x": target}, FineTuning(encoder=encoder, epochs=1))
    assert taken == [(1, FineTuning().learning_rate)]


class MeanOfTokens(torch.nn.Module):
    """An encoder whose vectors are means of tokens, and which notes what it is given."""

    shapes = ()

    def forward(self, features):
        assert features["modality"] == "text"
        ids, mask = features["input_ids"], features["attention_mask"]
        self.shapes += (tuple(ids.shape),)
        vectors = torch.stack([(ids * mask).sum(1) / mask.sum(1), mask.sum(1).float()], dim=1)
        return {"sentence_embedding": vectors}

    def get_embedding_dimension(self):
        return 2


def test_texts_of_like_length_are_encoded_together_to_the_same_vectors():
    lengths = [3, 50, 4, 3, 2, 4, 3, 2, 49, 3, 4, 3]
    mask = (torch.arange(50) < torch.tensor(lengths)[:, None]).long()
    ids = torch.arange(len(lengths) * 50).reshape(len(lengths), 50) * mask
    batch = {"input_ids": ids, "attention_mask": mask, "modality": "text"}
    model = MeanOfTokens()
    vectors = encode_by_length(model, batch, torch.arange(len(lengths)), FrozenLayers([]))
    assert model.shapes == ((8, 4), (4, 50))
    assert torch.equal(vectors, model(batch)["sentence_embedding"])
