"""Contrastive fine-tuning of a sentence encoder on the labels of all facets at once.

SetFit (Tunstall et al., "Efficient Few-Shot Learning Without Prompts", 2022) trains on pairs,
whose number grows with the square of the labels. Here every batch is compared with itself, as in
Khosla et al., "Supervised Contrastive Learning" (2020), so the work grows with the labels alone.
Each facet has a linear projection of its own, used in training only: two papers may be neighbours
in what they contribute and strangers in what they are about. The lower layers are not trained, so
what they give for a text is cached.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PrinterCallback, TrainerCallback

from tagger._util.progress import StepProgress
from tagger.training.pretrained import load_trainable
from tagger.training.settings import ContrastiveTarget, FineTuning

_PROJECTION_LEARNING_RATE = 1e-3
_REFERENCE_DIMENSIONS = 384
"""A wider encoder has a smaller learning rate, in proportion: Yang et al., "Tensor Programs V:
Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer" (2022), for Adam."""
_PART_SIZE = 8
_FROZEN_SHARE = 1 / 2
_MOST_BYTES = 512 * 2**20
"""Some 1,400 abstracts of the bundled encoder."""


class FacetContrastiveLoss(nn.Module):
    """Supervised contrastive loss, one projection a facet; labels are rows of the targets."""

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
        """Return the loss of a batch, a scalar."""
        rows = labels.flatten().cpu()
        vectors = encode_by_length(self.model, sentence_features[0], rows, self.frozen)
        total: Tensor = vectors.sum() * 0
        for name, target in self.targets.items():
            projected = self.projections[f"to_{name}"](vectors)
            similarity = torch.from_numpy(target.similarity(rows.numpy())).to(vectors.device)
            total = total + target.weight * supervised_contrastive_loss(
                projected, similarity, self.temperature
            )
        return total


def encode_by_length(
    model: nn.Module, features: Mapping[str, Any], texts: Tensor, frozen: FrozenLayers
) -> Tensor:
    """Encode a batch, shape (texts, dimensions), in parts of similar length: less is padding."""
    lengths = features["attention_mask"].sum(dim=1)
    order = lengths.argsort()
    parts = []
    for rows in torch.split(order, _PART_SIZE):
        length = int(lengths[rows[-1]])
        # Beside the tensors there are notes such as the modality.
        part = {
            name: value[rows, :length] if isinstance(value, Tensor) else value
            for name, value in features.items()
        }
        parts.append(frozen.encode(model, part, texts[rows.cpu()])["sentence_embedding"])
    return torch.cat(parts)[order.argsort()]


def supervised_contrastive_loss(vectors: Tensor, similarity: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss of a batch, a scalar.

    Equation 2 of Khosla et al. (2020) with each positive weighted by its similarity, shape (texts,
    texts), 0 to 1; texts without a positive in the batch do not count. ``vectors`` have shape
    (texts, dimensions) and any length.
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
    """Let the upper half of a transformer's layers learn, and nothing else.

    A few labels say nothing on most words, nor on how words go together (Lee et al., "What Would
    Elsa Do? Freezing Layers During Transformer Fine-Tuning", 2019). The layers are the largest list
    of modules, from the input upwards; where there is none, all but word embeddings is trained.
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
    """Layers whose output for a text is cached, up to ``most_bytes``, since it never changes.

    Each takes, first, and gives a tensor of shape (texts, tokens, dimensions).
    """

    def __init__(self, layers: Sequence[nn.Module], most_bytes: int = _MOST_BYTES) -> None:
        self._layers = layers
        self._room = most_bytes
        self._cached: dict[int, Tensor] = {}
        self._texts: list[tuple[int, int]] = []
        """Number and length of the texts that are being read."""

    @contextmanager
    def caching(self) -> Iterator[None]:
        """Cache what the layers give for the texts of :meth:`encode`."""
        for layer in self._layers:
            last = layer is self._layers[-1]
            layer.forward = partial(self._forward, layer.forward, last)
        try:
            yield
        finally:
            for layer in self._layers:
                del layer.forward  # that of its class is uncovered
            self._cached.clear()

    def encode(self, model: nn.Module, features: Mapping[str, Any], texts: Tensor) -> Any:
        """Return the output of the model, for ``features`` padded on the right, shape (texts,
        tokens); ``texts`` has a number of its own for each text, shape (texts,).
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
        given = forward(*inputs, **named)
        if last and isinstance(given, Tensor):
            for states, (text, length) in zip(given, self._texts, strict=True):
                part = states[:length]
                if text not in self._cached and part.nbytes <= self._room:
                    self._cached[text] = part.clone()  # a slice would hold the whole
                    self._room -= part.nbytes
        return given


def fine_tune(
    texts: list[str],
    targets: Mapping[str, ContrastiveTarget],
    settings: FineTuning,
    progress: StepProgress | None = None,
) -> SentenceTransformer:
    """Return an encoder in which papers with similar tags are near each other.

    Word embeddings and the lower layers stay as they are. With 0 epochs the pretrained encoder is
    returned. Raises TaggerError if it cannot be loaded.
    """
    torch.manual_seed(settings.seed)
    model = load_trainable(settings.encoder, settings.max_tokens)
    if not settings.epochs:
        return model.eval()
    transformer: Any = model[0].auto_model
    if not torch.cuda.is_available():
        # PyTorch's fused attention is slow on processors when it learns.
        with suppress(Exception):
            transformer.set_attn_implementation("eager")
    frozen = freeze_lower_layers(transformer)
    loss = FacetContrastiveLoss(model, frozen, targets, settings)
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as scratch:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=scratch,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate * min(1.0, _REFERENCE_DIMENSIONS / loss.size),
            learning_rate_mapping={r"^projections\.": _PROJECTION_LEARNING_RATE},
            warmup_steps=0.1,
            weight_decay=0.01,
            seed=settings.seed,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=torch.cuda.is_available(),
            bf16="bfloat16" in arithmetic(),
            # The trainer takes bfloat16 for a wish for a GPU unless told otherwise.
            use_cpu=arithmetic() == "cpu bfloat16",
        )
        # Several would share out a batch, which is compared with itself as a whole.
        arguments._n_gpu = min(arguments.n_gpu, 1)
        trainer = _QuietTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"text": texts, "label": list(range(len(texts)))}),
            loss=loss,
            callbacks=[_Report(progress)] if progress else None,
        )
        trainer.remove_callback(PrinterCallback)
        with frozen.caching():
            trainer.train()
        # Else the model would go on computing in bfloat16.
        trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    model.eval()
    return model


def arithmetic() -> str:
    """Return the device and precision of fine-tuning here: others give other weights.

    bfloat16 takes half the time at the same quality, on machines that multiply in it.
    """
    if torch.cuda.is_available():
        return "cuda bfloat16" if torch.cuda.is_bf16_supported() else "cuda float32"
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return "cpu bfloat16" if supported and supported() else "cpu float32"


class _QuietTrainer(SentenceTransformerTrainer):
    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Gather nothing for a model card: the encoder is never published."""


class _Report(TrainerCallback):
    def __init__(self, progress: StepProgress) -> None:
        self.progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.progress(state.global_step, state.max_steps)
