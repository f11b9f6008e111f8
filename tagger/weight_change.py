"""How fine-tuning changed the weights of an encoder: small enough to be kept, and to be averaged.

A fine-tuned encoder is the one it started from and a step away from it. The step is rounded to 8
bits, with one scale a row (as in Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", 2018). It is so much smaller than the weights are that
nothing of account is lost, and weights that stay as they were, such as word embeddings, take no
room.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch.nn import Parameter

Arrays = dict[str, npt.NDArray[np.float32]]

_MOST = 127
"""Steps on either side of 0 that 8 bits tell apart."""
_STEPS, _SCALES = "steps.", "scales."


@dataclass(frozen=True)
class WeightChange:
    """What is added to the weights of an encoder.

    Parameters
    ----------
    base:
        Fingerprint of the encoder that it is added to, see :func:`fingerprint`.
    steps:
        By the name of a weight, whole numbers from -127 to 127, of the weight's shape.
    scales:
        What one step is worth in each row, of the weight's shape but for the last axis, which has
        length 1.
    """

    base: str
    steps: dict[str, npt.NDArray[np.int8]]
    scales: Arrays

    @classmethod
    def of(cls, base: str, changes: Mapping[str, npt.NDArray[np.float32]]) -> WeightChange:
        """Round changes to 8 bits; those that are 0 throughout are left out."""
        steps, scales = {}, {}
        for name, change in changes.items():
            if not change.any():
                continue
            largest = np.abs(change).max(axis=-1, keepdims=True)
            scale = np.asarray(largest / _MOST, dtype=np.float32)
            steps[name] = np.rint(change / np.where(scale > 0, scale, 1)).astype(np.int8)
            scales[name] = scale
        return cls(base, steps, scales)

    def arrays(self) -> Arrays:
        """Return what is added, by the name of the weight."""
        return {name: self.scales[name] * steps for name, steps in self.steps.items()}

    def parts(self, prefix: str = "") -> dict[str, npt.NDArray[np.generic]]:
        """Return what it is made of, by names that start with a prefix, for a file."""
        named: dict[str, npt.NDArray[np.generic]] = {}
        for name, steps in self.steps.items():
            # What writes files takes no heed of the order of the axes.
            named[f"{prefix}{_STEPS}{name}"] = np.ascontiguousarray(steps)
            named[f"{prefix}{_SCALES}{name}"] = np.ascontiguousarray(self.scales[name])
        return named

    @classmethod
    def from_parts(
        cls, base: str, parts: Mapping[str, npt.NDArray[Any]], prefix: str = ""
    ) -> WeightChange:
        """Put together what :meth:`parts` took apart; anything of another name is left out."""

        def named(kind: str) -> dict[str, npt.NDArray[Any]]:
            start = f"{prefix}{kind}"
            return {
                name.removeprefix(start): part
                for name, part in parts.items()
                if name.startswith(start)
            }

        return cls(base, named(_STEPS), named(_SCALES))

    def add_to(self, model: SentenceTransformer) -> None:
        """Add the change to the weights of a model, which must be its base."""
        import torch

        weights = _parameters(model)
        with torch.no_grad():
            for name, change in self.arrays().items():
                weights[name].add_(torch.from_numpy(change).to(weights[name].device))


def change_of_weights(base: SentenceTransformer, tuned: SentenceTransformer) -> WeightChange:
    """Return how an encoder differs from the one it was fine-tuned from."""
    before, after = _weights(base), _weights(tuned)
    return WeightChange.of(_hash(before), {name: after[name] - before[name] for name in before})


def interpolated(one: WeightChange, other: WeightChange, share: float) -> WeightChange:
    """Return the change to weights between those of two encoders.

    "Backward Compatible Weight Interpolation" of Schumann et al., "Backward Compatibility During
    Data Updates by Weight Interpolation" (2024).

    Parameters
    ----------
    one, other:
        Of the same base.
    share:
        Of the other one, 0 to 1.
    """
    assert one.base == other.base
    total = {name: change * np.float32(1 - share) for name, change in one.arrays().items()}
    for name, change in other.arrays().items():
        part = change * np.float32(share)
        total[name] = total[name] + part if name in total else part
    return WeightChange.of(one.base, total)


def fingerprint(model: SentenceTransformer) -> str:
    """Return a hash of all weights of a model: equal for equal weights."""
    return _hash(_weights(model))


def _parameters(model: SentenceTransformer) -> dict[str, Parameter]:
    """Return weights by name; where the transformer hangs in a model varies between versions."""
    return {
        f"{place}.{name}": weight
        for place, module in enumerate(model)
        for name, weight in getattr(module, "auto_model", module).named_parameters()
    }


def _weights(model: SentenceTransformer) -> Arrays:
    return {
        name: np.asarray(weight.detach().float().cpu().numpy(), dtype=np.float32)
        for name, weight in sorted(_parameters(model).items())
    }


def _hash(weights: Arrays) -> str:
    digest = hashlib.sha256()
    for name, weight in weights.items():
        digest.update(f"{name} {weight.shape}".encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()
