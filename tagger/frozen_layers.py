"""The lower layers of an encoder: they are not trained, so what they give for a text is cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

_FROZEN_SHARE = 1 / 2
_MOST_BYTES = 512 * 2**20
"""Some 1,400 abstracts of the bundled encoder."""


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
    """Layers whose output for a text is cached, since it never changes.

    Each takes, first, and gives a tensor of shape (texts, tokens, dimensions); of layers that give
    more nothing is cached. Texts beyond ``most_bytes`` are read again each time.
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
        """Return the output of the model that these layers are part of.

        ``features`` are tensors of shape (texts, tokens), padded on the right, ``attention_mask``
        among them; ``texts`` has a number of its own for each text, shape (texts,).
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
