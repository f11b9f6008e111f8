"""How well is a tag given that has a definition and not a single label?

The domain tags that five or more papers of ../shared/gold have are dealt into groups. For
each group a model is trained on labels/seed.jsonl as if nobody had ever labelled these tags: papers
that have them stay, without them. It is set beside a model that knows their labels.

    python experiments/zero_shot.py  # writes experiments/results/zero_shot.*
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gold import RESULTS, ROOT, Gold, machine, read_gold

from tagger.evaluation import predict_labels
from tagger.labels import Label, LabelStore
from tagger.training import TrainingSettings, train

FACET = "domain"
LEAST_PAPERS = 5
GROUPS = 2
SETTINGS = TrainingSettings(folds=2)

Booleans = npt.NDArray[np.bool_]


def given(store: LabelStore, labels: list[Label], gold: Gold) -> Booleans:
    """Return the tags that a model gives, trained on some labels, shape (papers, tags)."""
    with tempfile.TemporaryDirectory() as scratch:
        result = train(labels, store.taxonomy, SETTINGS, Path(scratch))
        probabilities = result.model.predict_proba(gold.papers)[FACET]
    return predict_labels(store.taxonomy.facet(FACET), probabilities)


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
    store = LabelStore(ROOT / "labels")
    gold = read_gold(store.taxonomy)
    y_true, names = gold.y_true[FACET], store.taxonomy.facet(FACET).tag_names
    asked = [column for column in range(len(names)) if y_true[:, column].sum() >= LEAST_PAPERS]
    labels = store.labels()
    known = given(store, labels, gold)
    told = np.zeros_like(known)
    for group in range(GROUPS):
        columns = asked[group::GROUPS]
        tags = {names[column] for column in columns}
        answers = given(store, [without(label, tags) for label in labels], gold)
        told[:, columns] = answers[:, columns]
        print(sorted(tags), figures(y_true[:, columns], told[:, columns]), flush=True)
    rows = {
        **{names[column]: [column] for column in asked},
        "all together": asked,
    }
    details, lines = {}, []
    for name, columns in rows.items():
        by_definition = figures(y_true[:, columns], told[:, columns])
        by_labels = figures(y_true[:, columns], known[:, columns])
        details[name] = {"definition": by_definition, "labels": by_labels}
        cells = [f"{by_definition[key]:.2f}" for key in by_definition]
        lines.append(
            f"| {name} | {int(y_true[:, columns].sum())} | {' | '.join(cells)} "
            f"| {by_labels['f1']:.2f} |"
        )
    table = "\n".join(
        [
            "| tag | papers | precision by definition | recall | F1 | F1 with its labels |",
            "|---|---|---|---|---|---|",
            *lines,
            "",
            f"Trained on the {len(labels)} seed labels without those of half of these tags at "
            f"a time, asked about {len(gold.papers)} papers; one run on {machine()}.",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "zero_shot.md").write_text(table + "\n", encoding="utf-8")
    (RESULTS / "zero_shot.json").write_text(json.dumps(details, indent=1) + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
