"""Train the model that ships with tagger, from labels/, and write it to tagger/default_model.

    make model TEXTS="../shared/gold ../shared/digests"

TEXTS are files, or folders of files, with the abstracts of the papers in labels/real.jsonl. The
folder gets the model, its card, and ``training.json``: the hashes of its inputs and of its
manifest, the settings, and the figures on papers that were sampled at random. The same inputs give
the same bytes on the same machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tagger.cli import output
from tagger.evaluation import SHOWN_METRICS, evaluate_with_intervals
from tagger.labels import LabelSnapshot, LabelStore
from tagger.model import copy_model, sha256_of
from tagger.registry import model_card, training_metrics
from tagger.training import TrainingResult, TrainingSettings, default_encoder_cache, train

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "tagger" / "default_model"
RECORD_FILE, CARD_FILE = "training.json", "card.md"
SETTINGS = TrainingSettings(folds=3, epochs=3, tuning_tokens=256)
"""With many labels, three epochs are enough. The model is made rarely, so it reads whole texts."""


def input_hashes() -> dict[str, str]:
    """Return the SHA-256 of each label file as it is stored, and of the taxonomy."""
    return {path.name: sha256_of(path) for path in LabelStore(ROOT / "labels").files}


def figures_of(result: TrainingResult, snapshot: LabelSnapshot) -> dict[str, Any]:
    """Return the out-of-fold figures on papers sampled at random, with intervals, by facet."""
    audited = {label.id for label in snapshot.labels if label.audited}
    found: dict[str, Any] = {}
    for held_out in result.out_of_fold:
        indices = [row for row, paper in enumerate(held_out.ids) if paper in audited]
        if not indices:
            continue
        figures = evaluate_with_intervals(held_out.take(np.array(indices)))
        found[held_out.facet.name] = {"papers": len(indices)} | {
            name: [round(value, 4) for value in (figures[name].value, *figures[name].interval)]
            for name in SHOWN_METRICS
        }
    return found


def describe(result: TrainingResult, snapshot: LabelSnapshot, figures: dict[str, Any]) -> str:
    """Return the model card, with the figures on papers sampled at random."""
    lineage = {
        "labels": str(len(snapshot.labels)),
        "labels_from_review": str(sum(label.arrived for label in snapshot.labels)),
        "taxonomy": snapshot.taxonomy.version,
        "parent": "none",
    }
    metrics = training_metrics(result, len(snapshot.labels))
    card = model_card(result, SETTINGS, metrics, lineage)
    names = [metric.label for metric in SHOWN_METRICS.values()]
    lines = [
        "\n## On published papers sampled at random",
        "",
        f"| facet | papers | {' | '.join(names)} |",
        f"|{'---|' * (len(names) + 2)}",
    ]
    for facet, row in figures.items():
        cells = ["{:.2f} ({:.2f} to {:.2f})".format(*row[name]) for name in SHOWN_METRICS]
        lines.append(f"| {facet} | {row['papers']} | {' | '.join(cells)} |")
    return f"# The model that ships with tagger\n\n{card.strip()}\n" + "\n".join([*lines, ""])


def make(texts: Sequence[Path], target: Path) -> dict[str, Any]:
    """Train the model, write it to a folder and return its record."""
    snapshot = LabelStore(ROOT / "labels", output.read_texts(texts)).snapshot()
    if snapshot.without_text:
        output.warn(f"labels whose text is not found do not count: {snapshot.without_text}")
    with TemporaryDirectory() as scratch, output.progress() as step:
        place = Path(scratch) / "model"
        cache = default_encoder_cache()
        result = train(snapshot.labels, snapshot.taxonomy, SETTINGS, place, step, cache=cache)
        figures = figures_of(result, snapshot)
        record = {
            "model": result.model.digest,
            "inputs": input_hashes(),
            "settings": asdict(SETTINGS),
            "fingerprint": SETTINGS.fingerprint(snapshot.taxonomy, snapshot.labels),
            "labels": len(snapshot.labels),
            "labels_without_text": snapshot.without_text,
            "figures": figures,
        }
        target.mkdir(parents=True, exist_ok=True)
        copy_model(place, target)
        (target / CARD_FILE).write_text(describe(result, snapshot, figures), encoding="utf-8")
        text = json.dumps(record, indent=1) + "\n"
        (target / RECORD_FILE).write_text(text, encoding="utf-8")
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="*", type=Path)
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    print(json.dumps(make(options.texts, options.target)["figures"], indent=1))


if __name__ == "__main__":
    main()
