"""How well is a tag given that has a definition with examples, and not a single label?

The domain tags that five or more papers of ../shared/gold have are dealt into groups. For
each group a model is trained on labels/seed.jsonl as if nobody had ever labelled these tags: papers
that have them stay, without them. It is set beside a model that knows their labels.

    python experiments/zero_shot.py  # writes experiments/results/zero_shot.*
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gold import Gold, read_gold, settings_of, some
from record import ROOT, read_options, write_result

from tagger.evaluation import predict_labels
from tagger.labels import Label, LabelStore
from tagger.training import TrainingSettings, train

FACET = "domain"
LEAST_PAPERS = 5
GROUPS = 2

Booleans = npt.NDArray[np.bool_]


def given(
    store: LabelStore, labels: list[Label], gold: Gold, settings: TrainingSettings
) -> Booleans:
    """Return the tags that a model gives, trained on some labels, shape (papers, tags)."""
    with tempfile.TemporaryDirectory() as scratch:
        model = train(labels, store.taxonomy, settings, Path(scratch)).model
        probabilities = model.predict_proba(gold.papers)[FACET]
    return predict_labels(store.taxonomy.facet(FACET), probabilities, model.thresholds[FACET])


def without(label: Label, tags: set[str]) -> Label:
    left = tuple(tag for tag in label.tags.get(FACET, ()) if tag not in tags)
    return label.model_copy(update={"tags": {**label.tags, FACET: left}})


def figures(y_true: Booleans, answers: Booleans) -> dict[str, float]:
    hits = int((y_true & answers).sum())
    return {
        "precision": hits / max(int(answers.sum()), 1),
        "recall": hits / max(int(y_true.sum()), 1),
        "f1": 2 * hits / max(int(y_true.sum() + answers.sum()), 1),
    }


def main() -> None:
    options = read_options(__doc__, in_process=True)
    settings = settings_of(options.quick, folds=2)
    store = LabelStore(ROOT / "labels")
    gold, labels = read_gold(store.taxonomy), some(store.labels(), options.quick)
    y_true, names = gold.y_true[FACET], store.taxonomy.facet(FACET).tag_names
    asked = np.flatnonzero(y_true.sum(axis=0) >= LEAST_PAPERS)
    by_labels = given(store, labels, gold, settings)
    by_definition = np.zeros_like(by_labels)
    for group in range(GROUPS):
        columns = asked[group::GROUPS]
        tags = {names[column] for column in columns}
        answers = given(store, [without(label, tags) for label in labels], gold, settings)
        by_definition[:, columns] = answers[:, columns]
    found = {
        name: figures(y_true[:, asked], answers[:, asked])
        for name, answers in (
            ("definition and examples", by_definition),
            ("labels, too", by_labels),
        )
    }
    lines = ["| tags known by their | precision | recall | F1 |", "|---|---|---|---|"]
    for name, row in found.items():
        lines.append(f"| {name} | {' | '.join(f'{value:.2f}' for value in row.values())} |")
    foot = (
        f"{len(asked)} tags; {int(y_true[:, asked].any(axis=1).sum())} of the {len(gold.papers)} "
        f"papers of dev have one or more; trained on {len(labels)} seed labels without those of "
        "half of these tags at a time. Settings were chosen on dev."
    )
    write_result(options, "zero_shot", found, "\n".join([*lines, "", foot]))


if __name__ == "__main__":
    main()
