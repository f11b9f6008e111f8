"""The lower layers of an encoder, which do not learn and so need to read a text only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

_FROZEN_SHARE = 1 / 2
"""Of an encoder's layers, those nearest to the words."""
_MOST_BYTES = 256 * 2**20
"""What some 700 abstracts take, and ten times as many titles."""


def freeze_lower_layers(transformer: Any) -> FrozenLayers:
    """Let the upper half of a transformer's layers learn, and nothing else.

    A few labels say nothing on most words, nor on how words go together (Lee et al., "What Would
    Elsa Do? Freezing Layers During Transformer Fine-Tuning", 2019), and what stays takes less time.
    Where no layers are found, all but word embeddings are trained.

    Parameters
    ----------
    transformer:
        The module whose largest list of modules are its layers, from the input upwards.
    """
    stacks = [module for module in transformer.modules() if isinstance(module, nn.ModuleList)]
    largest = max(stacks, key=len, default=nn.ModuleList())
    layers = list(largest)
    lower = layers[: round(len(layers) * _FROZEN_SHARE)]
    kept = transformer if lower else transformer.get_input_embeddings()
    kept.requires_grad_(False)
    for layer in layers[len(lower) :]:
        layer.requires_grad_(True)
    return FrozenLayers(lower)


class FrozenLayers:
    """Layers in turn that give the same for a text whenever they read it, so that it is kept.

    Parameters
    ----------
    layers:
        Each takes, first, and gives a tensor of shape (texts, tokens, dimensions). Of layers that
        give more nothing is kept.
    most_bytes:
        Of what is kept; texts beyond are read again each time.
    """

    def __init__(self, layers: Sequence[nn.Module], most_bytes: int = _MOST_BYTES) -> None:
        self._layers = layers
        self._most_bytes = most_bytes
        self._kept: dict[int, Tensor] = {}
        self._used = 0
        """Bytes of what is kept."""
        self._texts: list[tuple[int, int]] = []
        """Number and length of the texts that are being read."""

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Let the layers keep what they give of texts that :meth:`encode` names."""
        for layer in self._layers:
            layer.forward = self._unless_kept(layer.forward, last=layer is self._layers[-1])
        try:
            yield
        finally:
            for layer in self._layers:
                del layer.forward  # that of its class is uncovered
            self._kept.clear()
            self._used = 0

    def are_kept(self, texts: Tensor) -> Tensor:
        """Tell of which texts these layers need to read none again, shape (texts,).

        Parameters
        ----------
        texts:
            A number of each text, shape (texts,).
        """
        return torch.tensor([text in self._kept for text in texts.tolist()])

    def encode(self, model: nn.Module, features: Mapping[str, Any], texts: Tensor) -> Any:
        """Return what a model gives of texts.

        Parameters
        ----------
        model:
            Whose layers these are.
        features:
            Tensors of shape (texts, tokens), padded on the right, ``attention_mask`` among them.
        texts:
            A number of each text, which is no other's, shape (texts,).
        """
        lengths = features["attention_mask"].sum(dim=1)
        self._texts = list(zip(texts.tolist(), lengths.tolist(), strict=True))
        for layer in self._layers:
            layer.eval()  # what is drawn by chance cannot be kept
        try:
            return model(features)
        finally:
            self._texts = []

    def _unless_kept(self, forward: Callable[..., Any], *, last: bool) -> Callable[..., Any]:
        def forward_unless_kept(*inputs: Any, **named: Any) -> Any:
            if inputs and self._texts and all(text in self._kept for text, _ in self._texts):
                return self._recall() if last else inputs[0]
            given = forward(*inputs, **named)
            if last and isinstance(given, Tensor):
                self._keep(given)
            return given

        return forward_unless_kept

    def _recall(self) -> Tensor:
        return pad_sequence([self._kept[text] for text, _ in self._texts], batch_first=True)

    def _keep(self, given: Tensor) -> None:
        for place, (text, length) in enumerate(self._texts):
            part = given[place, :length]
            if text not in self._kept and self._used + part.nbytes <= self._most_bytes:
                self._kept[text] = part.clone()  # a slice would hold the whole
                self._used += part.nbytes
