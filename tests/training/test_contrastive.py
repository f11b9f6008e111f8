import math
import os

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from helpers.tiny_encoder import save_tiny_encoder

from tagger.training.fine_tuning import (
    ContrastiveTarget,
    FacetTrainer,
    FrozenLayers,
    arithmetic,
    encode_by_length,
    fine_tune,
    freeze_lower_layers,
    supervised_contrastive_loss,
)
from tagger.training.pretrained import load_trainable
from tagger.training.settings import FineTuning


def test_overlap_is_the_jaccard_index_of_tag_sets():
    memberships = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=bool)
    annotated = np.array([True, True, True, True, False])
    target = ContrastiveTarget(memberships, annotated, 1.0)
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


@pytest.mark.training
def test_setfit_trains_on_one_gpu_in_the_precision_of_the_machine(tmp_path, monkeypatch):
    taken = []

    class Noted(FacetTrainer):
        def train_encoder(self, texts, labels):
            args = self.st_trainer.args
            precision = self.st_trainer.accelerator.mixed_precision
            assert args.n_gpu <= 1
            taken.append((args.learning_rate, precision, texts, list(labels)))
            return super().train_encoder(texts, labels)

    monkeypatch.setattr("tagger.training.fine_tuning.FacetTrainer", Noted)
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    features = Features({"text": Value("string"), "tags.x": ClassLabel(names=["a", "b"])})
    words = ["heart", "court"] * 4
    examples = Dataset.from_dict({"text": words, "tags.x": [0, 1] * 4}, features)
    encoder = str(save_tiny_encoder(tmp_path))
    settings = FineTuning(encoder=encoder, epochs=2, max_tokens=16)
    steps = []
    trained = fine_tune(examples, settings, lambda *step: steps.append(step))
    precision = "bf16" if "bfloat16" in arithmetic() else "no"
    # An encoder narrower than the bundled one learns at the same rate.
    assert taken == [(settings.learning_rate, precision, words, [*range(8)])]
    assert steps == [(1, 2), (2, 2)]
    assert "ACCELERATE_MIXED_PRECISION" not in os.environ
    before = load_trainable(encoder, 16).encode(words)
    after, again = (model.encode(words) for model in (trained, fine_tune(examples, settings)))
    assert np.isfinite(after).all()
    assert not np.allclose(before, after, atol=1e-3)
    assert np.allclose(after, again, atol=1e-5)


@pytest.mark.training
def test_fine_tuning_reads_the_beginnings_of_texts_and_the_encoder_more(tmp_path):
    encoder = str(save_tiny_encoder(tmp_path))
    settings = FineTuning(
        encoder=encoder, epochs=4, max_tokens=16, tuning_tokens=2, learning_rate=0.01
    )
    features = Features({"text": Value("string"), "tags.x": ClassLabel(names=["a", "b"])})
    probes = ["heart of court", "heart of court of heart"]
    found = []
    for end in ("heart heart", "court"):
        texts = [f"{word} court {end}" for word in ("heart", "court")] * 4
        trained = fine_tune(
            Dataset.from_dict({"text": texts, "tags.x": [0, 1] * 4}, features), settings
        )
        found.append(trained.encode(probes))
    assert np.allclose(*found)
    assert not np.allclose(*found[0])


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


class Layer(torch.nn.Module):
    """A layer whose tokens see one another, and which counts the texts that it reads."""

    def __init__(self, *, tuples):
        super().__init__()
        self.tuples, self.read = tuples, 0
        self.weight = torch.nn.Linear(3, 3)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, states, mask):
        self.read += len(states)
        mean = (states * mask).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)
        given = self.dropout(torch.tanh(self.weight(states + mean)))
        return (given, None) if self.tuples else given


class Encoder(torch.nn.Module):
    def __init__(self, layers=4, *, tuples=False):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.positions = torch.nn.Embedding(100, 3), torch.nn.Embedding(2, 1)
        if layers:
            self.layers = torch.nn.ModuleList(Layer(tuples=tuples) for _ in range(layers))
        self.pooler = torch.nn.Linear(1, 1, bias=False)

    def get_input_embeddings(self):
        return self.words

    def forward(self, features):
        states, mask = self.words(features["input_ids"]), features["attention_mask"][..., None]
        for layer in self.layers:
            states = layer(states, mask)
            states = states[0] if layer.tuples else states
        return (states * mask).sum(dim=1) / mask.sum(dim=1)


def batch(*texts):
    """Texts 1 to 9, of which each has as many tokens as its number says."""
    width = max(texts)
    mask = (torch.arange(width) < torch.tensor(texts)[:, None]).long()
    ids = torch.arange(width) + 10 * torch.tensor(texts)[:, None]
    return {"input_ids": ids * mask, "attention_mask": mask}, torch.tensor(texts)


def vectors(encoder, *texts):
    found = encoder.eval()(batch(*texts)[0])
    for layer in encoder.layers:
        layer.read = 0
    return found


@pytest.mark.parametrize(
    ("layers", "trained"),
    [
        (6, {"layers.3", "layers.4", "layers.5"}),
        (1, {"positions", "layers.0", "pooler"}),
        (0, {"positions", "pooler"}),
    ],
)
def test_the_lower_layers_are_not_trained(layers, trained):
    encoder = Encoder(layers)
    freeze_lower_layers(encoder)
    weights = [name for name, weight in encoder.named_parameters() if weight.requires_grad]
    assert {name.partition(".weight")[0] for name in weights} == trained


def test_a_text_is_read_by_frozen_layers_once_whatever_it_is_encoded_beside():
    encoder = Encoder()
    frozen = freeze_lower_layers(encoder)
    expected = vectors(encoder, 3, 5, 2)
    encoder.train()
    for layer in encoder.layers[2:]:
        layer.dropout.p = 0
    with frozen.caching():
        first = frozen.encode(encoder, *batch(3, 5))
        second = frozen.encode(encoder, *batch(2, 3))
        last = frozen.encode(encoder, *batch(3, 2, 5))
    assert torch.allclose(torch.stack([*first, second[0]]), expected, atol=1e-6)
    assert torch.allclose(last, expected[[0, 2, 1]], atol=1e-6)
    # The second batch has a text that is new; all texts of the last are known.
    assert [layer.read for layer in encoder.layers] == [4, 4, 7, 7]
    last.sum().backward()
    assert encoder.layers[1].weight.weight.grad is None
    assert encoder.layers[2].weight.weight.grad.any()
    # Afterwards the layers read again.
    torch.nn.init.zeros_(encoder.layers[0].weight.weight)
    assert torch.equal(frozen.encode(encoder.eval(), *batch(3, 5)), vectors(encoder, 3, 5))
    assert "forward" not in vars(encoder.layers[0])


@pytest.mark.parametrize(
    ("encoder", "frozen", "most_bytes"),
    [
        (Encoder(), 2, 5 * 3 * 4),  # either text, not both
        (Encoder(tuples=True), 2, 2**20),
        (Encoder(layers=1), 0, 2**20),
    ],
)
def test_what_is_too_large_or_cannot_be_cached_is_read_each_time(encoder, frozen, most_bytes):
    layers = FrozenLayers(encoder.layers[:frozen], most_bytes)
    expected = vectors(encoder, 3, 5)
    with layers.caching():
        for _ in range(2):
            assert torch.allclose(layers.encode(encoder, *batch(3, 5)), expected, atol=1e-6)
    assert encoder.layers[0].read == 4
