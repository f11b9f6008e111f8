"""Fine-tune a sentence encoder with SetFit, on the labels of all facets at once.

SetFit (Tunstall et al., "Efficient Few-Shot Learning Without Prompts", 2022) trains by default on
pairs, whose number grows with the square of the number of labels. :class:`FacetTrainer` is SetFit's
trainer with another loss: the texts of each batch are compared with each other, as in Khosla et
al., "Supervised Contrastive Learning" (2020), so the work is proportional to the number of labels.
Each facet has its own linear projection, used in training only: two papers can be similar in one
facet and different in another. The lower layers are frozen, so their output for a text is cached.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import setfit
import torch
from datasets import ClassLabel, Dataset, disable_progress_bars
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from tagger._util.arrays import Booleans
from tagger._util.progress import StepProgress
from tagger.training.data import TAGS, TEXT
from tagger.training.pretrained import load_trainable
from tagger.training.settings import FineTuning

_FACET_WEIGHT = {True: 1.0, False: 0.5}
"""Weight in the loss, by whether a facet is exclusive. Other facets weigh less: they describe
topics, which the bundled encoder has learned in its pretraining."""
_PRECISION = "ACCELERATE_MIXED_PRECISION"
_PROJECTION_LEARNING_RATE = 1e-3
_REFERENCE_DIMENSIONS = 384
"""Dimensions up to which the learning rate is as set. For a wider encoder it is lower, in
proportion (Yang et al., "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot
Hyperparameter Transfer", 2022, for Adam)."""
_PART_SIZE = 8
_FROZEN_SHARE = 1 / 2
_MOST_BYTES = 512 * 2**20
"""Size of the cache of frozen layers: about 2,700 abstracts with the bundled encoder."""


@dataclass(frozen=True, slots=True)
class ContrastiveTarget:
    """The tags of texts in one facet: texts with similar tags get similar vectors.

    ``memberships`` has shape (texts, tags), ``annotated`` (texts,); ``weight`` is the weight of the
    facet in the loss.
    """

    memberships: Booleans
    annotated: Booleans
    weight: float

    def similarity(self, indices: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Return the Jaccard index of the tag sets of each pair of texts, shape (n, n) for n texts.

        Two texts without a tag have similarity 1. A text that is not annotated has similarity 0.
        """
        members = self.memberships[indices].astype(np.float32)
        annotated = self.annotated[indices]
        shared = members @ members.T
        sizes = members.sum(axis=1)
        union = sizes[:, None] + sizes[None, :] - shared
        overlap = np.where(union > 0, shared / np.maximum(union, 1), 1)
        return np.asarray(overlap * np.outer(annotated, annotated), dtype=np.float32)


def targets_of(examples: Dataset) -> dict[str, ContrastiveTarget]:
    """Return the target in each facet of the data set that :func:`examples_of` makes."""
    targets = {}
    for column, feature in examples.features.items():
        if column == TEXT:
            continue
        exclusive = isinstance(feature, ClassLabel)
        names = feature.names if exclusive else feature.feature.names
        answers = examples[column][:]
        memberships = np.zeros((len(answers), len(names)), dtype=bool)
        for row, tags in enumerate(answers):
            if tags is not None:
                memberships[row, tags] = True
        annotated = np.array([tags is not None for tags in answers], dtype=bool)
        target = ContrastiveTarget(memberships, annotated, _FACET_WEIGHT[exclusive])
        targets[column.removeprefix(TAGS)] = target
    return targets


class FacetContrastiveLoss(nn.Module):
    """Supervised contrastive loss, with one projection per facet.

    The trainer passes the index of each text in the targets as its label.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        frozen: FrozenLayers,
        targets: Mapping[str, ContrastiveTarget],
        settings: FineTuning,
    ) -> None:
        super().__init__()
        self.model = model
        self.frozen = frozen
        self.temperature = settings.temperature
        self.targets = targets
        self.size = model.get_embedding_dimension() or _REFERENCE_DIMENSIONS
        sizes = self.size, settings.projection_dimensions
        self.projections = nn.ModuleDict(
            {f"to_{name}": nn.Linear(*sizes, bias=False) for name in targets}
        )

    def forward(self, sentence_features: list[dict[str, Any]], labels: Tensor) -> Tensor:
        indices = labels.flatten().cpu()
        vectors = encode_by_length(self.model, sentence_features[0], indices, self.frozen)
        total: Tensor = vectors.sum() * 0
        for name, target in self.targets.items():
            projected = self.projections[f"to_{name}"](vectors)
            similarity = torch.from_numpy(target.similarity(indices.numpy())).to(vectors.device)
            total = total + target.weight * supervised_contrastive_loss(
                projected, similarity, self.temperature
            )
        return total


def encode_by_length(
    model: nn.Module, features: Mapping[str, Any], texts: Tensor, frozen: FrozenLayers
) -> Tensor:
    """Encode a batch in parts of texts of similar length, which need less padding.

    ``texts`` has the index of each text in the targets, shape (texts,). Returns vectors of shape
    (texts, dimensions).
    """
    lengths = features["attention_mask"].sum(dim=1)
    order = lengths.argsort()
    parts = []
    for rows in torch.split(order, _PART_SIZE):
        length = int(lengths[rows[-1]])
        # Not all features are tensors: one is the modality.
        part = {
            name: value[rows, :length] if isinstance(value, Tensor) else value
            for name, value in features.items()
        }
        parts.append(frozen.encode(model, part, texts[rows.cpu()])["sentence_embedding"])
    return torch.cat(parts)[order.argsort()]


def supervised_contrastive_loss(vectors: Tensor, similarity: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss of a batch, a scalar.

    This is equation 2 of Khosla et al. (2020), with each positive weighted by its similarity.
    ``vectors`` have shape (texts, dimensions) and any length. ``similarity`` has shape (texts,
    texts) and is between 0 and 1. Texts without a positive in the batch are ignored.
    """
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    unit = nn.functional.normalize(vectors, dim=-1)
    cosines = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf)
    log_share = torch.log_softmax(cosines, dim=1).masked_fill(itself, 0)
    positives = similarity.masked_fill(itself, 0)
    mass = positives.sum(dim=1)
    counted = mass > 0
    if not bool(counted.any()):
        return vectors.sum() * 0
    losses = -(positives * log_share).sum(dim=1)[counted] / mass[counted]
    return losses.mean()


def freeze_lower_layers(transformer: Any) -> FrozenLayers:
    """Freeze all of a transformer but the upper half of its layers.

    A few labels cannot improve the embeddings of most words, nor the lower layers (Lee et al.,
    "What Would Elsa Do? Freezing Layers During Transformer Fine-Tuning", 2019). The layers are the
    longest list of modules; without such a list, only the word embeddings are frozen.
    """
    stacks = [module for module in transformer.modules() if isinstance(module, nn.ModuleList)]
    layers = max(map(list, stacks), key=len, default=[])
    lower = layers[: round(len(layers) * _FROZEN_SHARE)]
    frozen = transformer if lower else transformer.get_input_embeddings()
    frozen.requires_grad_(False)
    for layer in layers[len(lower) :]:
        layer.requires_grad_(True)
    return FrozenLayers(lower)


class FrozenLayers:
    """Frozen layers with a cache of their output for each text, up to ``most_bytes``.

    The first input of a layer and its output have shape (texts, tokens, dimensions).
    """

    def __init__(self, layers: Sequence[nn.Module], most_bytes: int = _MOST_BYTES) -> None:
        self._layers = layers
        self._room = most_bytes
        self._cached: dict[int, Tensor] = {}
        self._texts: list[tuple[int, int]] = []
        """Index and length in tokens of each text that is being encoded."""

    @contextmanager
    def caching(self) -> Iterator[None]:
        """Cache the output of the layers for the texts of :meth:`encode`."""
        for layer in self._layers:
            last = layer is self._layers[-1]
            layer.forward = partial(self._forward, layer.forward, last)
        try:
            yield
        finally:
            for layer in self._layers:
                del layer.forward  # restores the method of its class
            self._cached.clear()

    def encode(self, model: nn.Module, features: Mapping[str, Any], texts: Tensor) -> Any:
        """Return the output of a model for a batch of texts.

        ``features`` are padded on the right, shape (texts, tokens). ``texts`` has a unique number
        for each text, shape (texts,).
        """
        lengths = features["attention_mask"].sum(dim=1)
        self._texts = list(zip(texts.tolist(), lengths.tolist(), strict=True))
        for layer in self._layers:
            layer.eval()  # dropout would differ each time
        return model(features)

    def _forward(self, forward: Callable[..., Any], last: bool, *inputs: Any, **named: Any) -> Any:
        if inputs and all(text in self._cached for text, _ in self._texts):
            if not last:
                return inputs[0]
            return pad_sequence([self._cached[text] for text, _ in self._texts], batch_first=True)
        output = forward(*inputs, **named)
        if last and isinstance(output, Tensor):
            for states, (text, length) in zip(output, self._texts, strict=True):
                part = states[:length]
                if text not in self._cached and part.nbytes <= self._room:
                    self._cached[text] = part.clone()  # a slice would keep the whole in memory
                    self._room -= part.nbytes
        return output


class EncoderTrainer(setfit.Trainer):  # type: ignore[misc]
    """SetFit's trainer of the encoder, which prints nothing.

    It fits no head: that is done on the vectors of the exported encoder. ``arguments`` are those of
    :func:`training_arguments`; ``options`` those of :class:`setfit.SetFitModel`.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        arguments: setfit.TrainingArguments,
        progress: StepProgress | None = None,
        **options: Any,
    ) -> None:
        report = [_Report(progress)] if progress else None
        super().__init__(setfit.SetFitModel(model, **options), arguments, callbacks=report)
        for callback in (setfit.trainer.ModelCardCallback, PrinterCallback, ProgressCallback):
            self.remove_callback(callback)
        # Several GPUs would divide a batch, whose texts must be compared with each other.
        self.st_trainer.args._n_gpu = min(self.st_trainer.args.n_gpu, 1)
        self.st_trainer.args.dataloader_pin_memory = torch.cuda.is_available()

    def train_encoder(self, texts: list[str], labels: Any) -> SentenceTransformer:
        """Train and return the encoder; ``labels`` are what :meth:`get_dataset` takes as ``y``."""
        self.train_embeddings(texts, labels, args=self.args)
        # Otherwise the model would still compute in bfloat16.
        model: SentenceTransformer = self.st_trainer.accelerator.unwrap_model(
            self.st_trainer.model, keep_fp32_wrapper=False
        )
        return model.eval()


class FacetTrainer(EncoderTrainer):
    """SetFit's trainer with a loss for the tags of several facets."""

    def __init__(self, loss: FacetContrastiveLoss, *given: Any) -> None:
        super().__init__(loss.model, *given)
        self.st_trainer.args.learning_rate_mapping = {r"^projections\.": _PROJECTION_LEARNING_RATE}
        self.loss = loss.to(self.model.device)

    def get_dataset(
        self, x: list[str], y: list[int], args: setfit.TrainingArguments, max_pairs: int = -1
    ) -> tuple[Dataset, nn.Module]:
        """Return the texts, not pairs of them, with their indices ``y``, and the loss."""
        return Dataset.from_dict({"text": x, "label": y}), self.loss


def fine_tune(
    examples: Dataset, settings: FineTuning, progress: StepProgress | None = None
) -> SentenceTransformer:
    """Fine-tune an encoder so that texts with similar tags get similar vectors.

    ``examples`` are those of :func:`tagger.training.data.examples_of`. Word embeddings and the
    lower layers are frozen. ``progress`` is called with the training steps done and their total.
    Raises a TaggerError if the encoder cannot be loaded.
    """
    model = load_for_training(settings)
    model.max_seq_length = min(settings.max_tokens, settings.tuning_tokens)
    transformer: Any = model[0].auto_model
    frozen = freeze_lower_layers(transformer)
    loss = FacetContrastiveLoss(model, frozen, targets_of(examples), settings)
    rate = settings.learning_rate * min(1.0, _REFERENCE_DIMENSIONS / loss.size)
    with (
        training_arguments(settings, batch_size=settings.batch_size, rate=rate) as arguments,
        frozen.caching(),
    ):
        trainer = FacetTrainer(loss, arguments, progress)
        trained = trainer.train_encoder(examples[TEXT][:], range(len(examples)))
    trained.max_seq_length = settings.max_tokens
    return trained


def load_for_training(settings: FineTuning) -> SentenceTransformer:
    """Load a pretrained encoder and seed PyTorch; raises a TaggerError if it cannot be loaded."""
    torch.manual_seed(settings.seed)
    model = load_trainable(settings.encoder, settings.max_tokens)
    transformer: Any = model[0].auto_model
    if not torch.cuda.is_available():
        # In training, PyTorch's fused attention is slow on CPUs.
        with suppress(Exception):
            transformer.set_attn_implementation("eager")
    return model


@contextmanager
def training_arguments(
    settings: FineTuning, *, batch_size: int, rate: float, **options: Any
) -> Iterator[setfit.TrainingArguments]:
    """Provide arguments for SetFit's trainer, which prints and saves nothing.

    Within the block a trainer computes in bfloat16 where :func:`arithmetic` says so.
    """
    setfit.logging.set_verbosity_error()
    disable_progress_bars()
    before = os.environ.get(_PRECISION)
    # SetFit has no option for it, and its ``use_amp`` is float16.
    os.environ[_PRECISION] = "bf16" if "bfloat16" in arithmetic() else "no"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            yield setfit.TrainingArguments(
                output_dir=scratch,
                num_epochs=settings.epochs,
                batch_size=batch_size,
                body_learning_rate=rate,
                seed=settings.seed,
                save_strategy="no",
                logging_strategy="no",
                logging_first_step=False,
                report_to="none",
                show_progress_bar=False,
                **options,
            )
    finally:
        del os.environ[_PRECISION]
        if before is not None:
            os.environ[_PRECISION] = before


def arithmetic() -> str:
    """Return the device and precision of fine-tuning on this machine; the weights depend on it.

    bfloat16 takes half the time at the same quality on hardware that multiplies in it.
    """
    if torch.cuda.is_available():
        return "cuda bfloat16" if torch.cuda.is_bf16_supported() else "cuda float32"
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return "cpu bfloat16" if supported and supported() else "cpu float32"


class _Report(TrainerCallback):
    def __init__(self, progress: StepProgress) -> None:
        self.progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.progress(state.global_step, state.max_steps)
