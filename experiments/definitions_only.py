"""How well are papers tagged by definitions alone, before anybody has labelled one?

The encoder as it comes, and no label: on the 210 papers of ../shared/gold by the definitions in
labels/taxonomy.yaml, without and with its examples of each tag, all at once and a few at a time, as
they may come on a page; and on the 828
papers of EMNLP 2022 in ../shared/benchmarks by those definitions of the template ``nlp`` that stand
for a field of theirs. How near a paper has to be to a definition was set with an eye on these sets:
two numbers, the same for all of them.

    python experiments/definitions_only.py  # writes experiments/results/definitions_only.*
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gold import (
    RESULTS,
    ROOT,
    SHARED,
    bootstrap_interval,
    machine,
    read_gold,
    with_examples_of,
)

from tagger._util.arrays import Floats
from tagger.evaluation import predict_labels
from tagger.labels import LabelStore
from tagger.model import Encoder, ReviewRule, VectorCache, model_of_definitions
from tagger.papers import Paper
from tagger.taxonomy import Facet, Taxonomy, load_template
from tagger.training import bundled_encoder

CACHE = VectorCache(Path(tempfile.gettempdir()) / "tagger-experiments" / "vectors.sqlite")
EMNLP = SHARED / "benchmarks/emnlp22_nlp_taxonomy/emnlp22_papers_with_nlp_taxonomy_labels.csv"
PAGE = 12
FIELDS = {
    "language-models": "Language Models",
    "machine-translation": "Machine Translation",
    "summarization": "Summarization",
    "question-answering": "Question Answering",
    "dialogue": "Dialogue Systems & Conversational Agents",
    "information-extraction": "Information Extraction & Text Mining",
    "information-retrieval": "Information Retrieval",
    "text-classification": "Text Classification",
    "sentiment": "Sentiment Analysis",
    "text-generation": "Text Generation",
    "syntax": "Syntactic Text Processing",
    "reasoning": "Reasoning",
    "knowledge": "Knowledge Representation",
    "structured-data": "Structured Data In NLP",
    "multilingual": "Multilinguality",
    "low-resource": "Low Resource NLP",
    "interpretability": "Explainable & Interpretable NLP",
    "robustness": "Robust NLP",
    "ethics": "Ethical NLP",
    "efficiency": "Green & Sustainable NLP",
    "vision": "Visual Data In NLP",
    "speech": "Speech & Audio In NLP",
    "code": "Programming Languages In NLP",
}
"""Which field of theirs a tag of the template stands for; ``semantics`` has none."""

Booleans = npt.NDArray[np.bool_]
Figure = Callable[[Booleans, Booleans], float]


def micro_f1(y_true: Booleans, given: Booleans) -> float:
    return 2 * int((y_true & given).sum()) / max(int(y_true.sum() + given.sum()), 1)


def macro_f1(y_true: Booleans, given: Booleans) -> float:
    columns = range(y_true.shape[1])
    return float(np.mean([micro_f1(y_true[:, [c]], given[:, [c]]) for c in columns]))


def precision(y_true: Booleans, given: Booleans) -> float:
    return int((y_true & given).sum()) / max(int(given.sum()), 1)


def recall(y_true: Booleans, given: Booleans) -> float:
    return int((y_true & given).sum()) / max(int(y_true.sum()), 1)


FIGURES: dict[str, Figure] = {
    "micro-F1": micro_f1,
    "macro-F1": macro_f1,
    "precision": precision,
    "recall": recall,
}


def ask(papers: list[Paper], taxonomy: Taxonomy, encoder: Encoder, page: int) -> dict[str, Floats]:
    """Return the probabilities per facet, for papers that come so many at a time."""
    order = np.random.default_rng(0).permutation(len(papers))
    probabilities = {f.name: np.zeros((len(papers), len(f.tags))) for f in taxonomy.facets}
    for start in range(0, len(papers), page):
        rows = order[start : start + page]
        own = [papers[row] for row in rows]
        for name, values in model_of_definitions(taxonomy, own, encoder).predict_proba(own).items():
            probabilities[name][rows] = values
    return probabilities


def read_emnlp() -> tuple[list[Paper], Booleans]:
    with EMNLP.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    given = [{tag.strip() for tag in row["labels"].split(";")} for row in rows]
    y_true = np.array([[field in tags for field in FIELDS.values()] for tags in given])
    return [Paper(row["title"], row["abstract"]) for row in rows], y_true


def main() -> None:
    encoder = bundled_encoder(CACHE)
    taxonomy = LabelStore(ROOT / "labels").taxonomy
    gold = read_gold(taxonomy)
    nlp = load_template("nlp")
    field = nlp.facet("field")
    columns = [field.tag_names.index(tag) for tag in FIELDS]
    papers, fields = read_emnlp()
    rows: list[tuple[str, Facet, Booleans, Booleans, Floats]] = []
    cases = {"definitions": with_examples_of(taxonomy), "definitions and examples": taxonomy}
    for (told_by, known), page in product(cases.items(), (len(gold.papers), PAGE)):
        probabilities = ask(gold.papers, known, encoder, page)
        for facet in taxonomy.facets:
            name = f"{facet.name} by {told_by}, {page} papers at a time"
            given = predict_labels(facet, probabilities[facet.name])
            rows.append((name, facet, gold.y_true[facet.name], given, probabilities[facet.name]))
    chances_of_fields = ask(papers, nlp, encoder, len(papers))["field"]
    given = predict_labels(field, chances_of_fields)[:, columns]
    rows.append(("EMNLP 2022: fields", field, fields, given, chances_of_fields))
    details, lines = {}, []
    for name, facet, y_true, given, probabilities in rows:
        found = {}
        for key, figure in FIGURES.items():

            def drawn(
                picked: npt.NDArray[np.int_],
                y_true: Booleans = y_true,
                given: Booleans = given,
                figure: Figure = figure,
            ) -> float:
                return figure(y_true[picked], given[picked])

            found[key] = [figure(y_true, given), *bootstrap_interval(drawn, len(y_true))]
        review = float(ReviewRule().doubts(facet, probabilities).mean())
        details[name] = {**found, "papers": len(y_true), "tags": y_true.shape[1], "review": review}
        cells = [f"{value:.2f} ({low:.2f} to {high:.2f})" for value, low, high in found.values()]
        lines.append(f"| {name} | {y_true.shape[1]} | {' | '.join(cells)} | {review:.0%} |")
    table = "\n".join(
        [
            f"| | tags | {' | '.join(FIGURES)} | to review |",
            f"|---|---|{'---|' * len(FIGURES)}---|",
            *lines,
            "",
            f"No label and no training; with 95% bootstrap intervals. {len(gold.papers)} papers of "
            f"digests, {len(papers)} of EMNLP 2022 by the template nlp. To review: by this facet "
            f"alone, at the usual confidence of {ReviewRule().min_confidence}. One run on "
            f"{machine()}.",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "definitions_only.md").write_text(table + "\n", encoding="utf-8")
    content = json.dumps(details, indent=1) + "\n"
    (RESULTS / "definitions_only.json").write_text(content, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
