"""Settings of a training run.

This module does not import PyTorch, which takes seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tagger import __version__
from tagger.labels import Label
from tagger.model import DEFAULT_MAX_TOKENS
from tagger.taxonomy import Taxonomy
from tagger.training.pretrained import BUNDLED_ENCODER, file_hashes

DEFAULT_RECIPE = "contrastive"


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """Settings of fine-tuning; those after the epochs are of the default recipe only.

    Parameters
    ----------
    recipe:
        Name of a recipe; see :mod:`tagger.training.recipes`.
    encoder:
        ``"bundled-minilm"``, a folder or the name of a sentence-transformers model.
    max_tokens:
        Tokens after which a text is cut off.
    epochs:
        Passes over the texts; with 0 the encoder is not fine-tuned.
    tuning_tokens:
        Tokens after which a text is cut off while the encoder is fine-tuned, if fewer. The time
        grows with them; the beginning of an abstract is enough to learn from.
    batch_size:
        Texts in a batch; each is compared with the others of its batch.
    learning_rate:
        For an encoder of 384 dimensions; a wider one gets a lower rate, in proportion.
    temperature:
        Divisor of the cosine similarities in the loss.
    projection_dimensions:
        Dimensions of the projection that each facet has during training.
    seed:
        Seed of initial projections, of the order of texts, and of the folds.
    """

    recipe: str = DEFAULT_RECIPE
    encoder: str = BUNDLED_ENCODER
    max_tokens: int = DEFAULT_MAX_TOKENS
    epochs: int = 5
    tuning_tokens: int = 128
    batch_size: int = 32
    learning_rate: float = 1.5e-4
    temperature: float = 0.1
    projection_dimensions: int = 128
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings(FineTuning):
    """Settings of a training run; all are logged. Those of :class:`FineTuning` come first.

    Parameters
    ----------
    folds:
        Number of folds of the cross-validation.
    title_views:
        Whether the title of each paper is one more training example, for the encoder and for the
        heads. A title names the subject in a few words, without the phrases that the abstracts of
        the labelled papers happen to share.
    float32:
        Whether to export the encoder with 32-bit weights, too, for GPUs.
    trust_pickle:
        Whether the head of a SetFit checkpoint, a pickle that may hold code, may be loaded.
    encoder_of:
        Name of the version whose fine-tuned encoders are reused, or None.
    """

    folds: int = 3
    title_views: bool = True
    float32: bool = False
    trust_pickle: bool = False
    encoder_of: str | None = None

    def fingerprint(self, taxonomy: Taxonomy, labels: Sequence[Label]) -> str:
        """Return a hash of all inputs of a training run: equal inputs give an equal model."""
        content: dict[str, object] = {
            "tagger": __version__,
            "settings": asdict(self),
            "taxonomy": taxonomy.version,
            "labels": [
                [
                    label.id,
                    label.paper.text,
                    {k: sorted(v) for k, v in sorted(label.tags.items())},
                    label.arrived,
                    label.audited,
                ]
                for label in labels
            ],
        }
        if (folder := Path(self.encoder)).is_dir():
            content["encoder"] = file_hashes(folder)
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
