"""Which views, calibration and threshold give the best tags and the most honest confidences?

Models are trained on labels/seed.jsonl and asked about the labelled papers of ../shared/gold: dev,
dev2 and those of pool that were drawn at random. Others are trained on EMNLP 2022, 8 or 16 labels a
tag, and asked about the rest. The vectors of all views by the encoders of folds and of the final
model are kept in experiments/cache/calibration, so a setting takes seconds.

    python experiments/calibration.py            # writes experiments/results/calibration.*
    python experiments/calibration.py --seeds 1  # a quicker look
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from emnlp_tags import FOLDS, TOKENS, draw, read
from gold import RESULTS, ROOT, SHARED, machine
from sklearn.isotonic import IsotonicRegression

from tagger._util.arrays import Booleans, Floats
from tagger.evaluation import BINS, METRICS, evaluate, predict_labels
from tagger.labels import Label, LabelStore
from tagger.model import Calibration, calibrated_probabilities, prototypes
from tagger.papers import TEXT_VIEWS, Paper, merge_duplicates, paper_id, read_papers
from tagger.taxonomy import Facet, Tag, Taxonomy
from tagger.training import TrainingData, TrainingSettings
from tagger.training.calibration import fit_calibration, fit_threshold
from tagger.training.encoders import train_encoders
from tagger.training.heads import fit_head, fit_vectorizer
from tagger.training.run import plan_encoder, plan_folds

CACHE = Path(__file__).parent / "cache" / "calibration"
VIEWS = tuple(TEXT_VIEWS)
LATER_SEEDS = datetime(2026, 11, 30, tzinfo=UTC)
"""The tables are of the 150 seed labels before this time."""
Scores = dict[str, Floats]
"""By view, shape (members, papers, tags)."""


@dataclass(frozen=True)
class Asked:
    """Papers that a model has not seen, and their tags, per facet of shape (papers, tags)."""

    papers: list[Paper]
    y_true: dict[str, Booleans]


@dataclass(frozen=True)
class Case:
    """A training: labels, the papers asked about, and vectors by ENCODER/SET/VIEW."""

    data: TrainingData
    folds: np.ndarray
    asked: dict[str, Asked]
    vectors: dict[str, np.ndarray]


@dataclass(frozen=True)
class Setting:
    """A way from scores to tags; by default the one of tagger."""

    views: tuple[str, ...] = VIEWS
    calibrate: Callable[..., Floats] | None = None
    threshold: float | None = None
    mean_of_logits: bool = False
    by_definition: bool = True


def isotonic(facet: Facet, y_true: Booleans, scores: Floats, asked: Floats) -> Floats:
    """One curve for all tags of a facet; an exclusive facet is made to sum to 1 again."""
    before, found = (calibrated_probabilities(facet, s, Calibration()) for s in (scores, asked))
    curve = IsotonicRegression(out_of_bounds="clip").fit(before.ravel(), y_true.ravel())
    after = np.maximum(np.asarray(curve.predict(found.ravel())).reshape(found.shape), 1e-6)
    return after / after.sum(axis=1, keepdims=True) if facet.exclusive else after


def none(facet: Facet, _y_true: Booleans, _scores: Floats, asked: Floats) -> Floats:
    return calibrated_probabilities(facet, asked, Calibration())


def fitted(facet: Facet, y_true: Booleans, scores: Floats, asked: Floats) -> Floats:
    return calibrated_probabilities(facet, asked, fit_calibration(facet, y_true, scores))


SETTINGS = {
    "whole, tags from 0.5": Setting(("whole",), threshold=0.5, by_definition=False),
    "whole, tags from 0.4": Setting(("whole",), threshold=0.4, by_definition=False),
    "excerpt (--effort low)": Setting(("excerpt",)),
    "title, excerpt (--effort balanced)": Setting(("title", "excerpt")),
    "title, whole": Setting(("title", "whole")),
    "excerpt, whole": Setting(("excerpt", "whole")),
    "**title, excerpt, whole (tagger)**": Setting(),
    "- tags from 0.5": Setting(threshold=0.5),
    "- tags from 0.4": Setting(threshold=0.4),
    "- tags from 0.3": Setting(threshold=0.3),
    "- mean of logits": Setting(mean_of_logits=True),
    "- without definitions": Setting(by_definition=False),
    "- not calibrated": Setting(calibrate=none),
    "- isotonic": Setting(calibrate=isotonic),
}


def seed_labels(seed: int) -> tuple[list[Label], Taxonomy, dict[str, Asked], TrainingSettings]:
    store = LabelStore(ROOT / "labels")
    pages = sorted((SHARED / "digests").glob("*.txt"))
    known = {paper.id: paper for paper in merge_duplicates(read_papers(pages))}
    asked = {}
    for name in ("dev", "dev2", "pool"):
        lines = (SHARED / "gold" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row.get("draw") != "enriched"]
        papers = [
            Paper(row["title"], row["abstract"])
            if "abstract" in row
            else known[paper_id(row["title"])]
            for row in rows
        ]
        asked[name] = Asked(
            papers,
            {
                facet.name: np.array(
                    [np.isin(facet.tag_names, row[facet.name]) for row in rows], dtype=bool
                )
                for facet in store.taxonomy.facets
            },
        )
    labels = [label for label in store.labels() if label.time < LATER_SEEDS]
    return labels, store.taxonomy, asked, TrainingSettings(seed=seed)


def emnlp_labels(
    per_tag: int, seed: int
) -> tuple[list[Label], Taxonomy, dict[str, Asked], TrainingSettings]:
    papers, y_true, names = read()
    tags = tuple(Tag(name=f"tag-{n}", definition=name) for n, name in enumerate(names))
    facet = Facet(name="field", definition="Field of study.", tags=tags)
    places = {paper.id: row for row, paper in enumerate(papers)}
    chosen = {papers[row].id: int(row) for row in draw(y_true, per_tag, seed)}
    # Some papers are in the benchmark twice.
    distinct = [places[paper.id] for paper in merge_duplicates(papers)]
    rest = [row for row in distinct if papers[row].id not in chosen]
    labels = [
        Label(
            id=name,
            title=papers[row].title,
            text=papers[row].abstract,
            tags={facet.name: tuple(np.array(facet.tag_names)[y_true[row]])},
            annotator="benchmark",
            time=datetime(2026, 1, 1, tzinfo=UTC),
            source="seed",
        )
        for name, row in chosen.items()
    ]
    asked = {f"EMNLP, {per_tag} a tag": Asked([papers[r] for r in rest], {"field": y_true[rest]})}
    settings = TrainingSettings(seed=seed, max_tokens=TOKENS, folds=FOLDS)
    return labels, Taxonomy(name="emnlp", facets=(facet,)), asked, settings


def prepare(name: str, seed: int) -> Case:
    """Train and encode, unless that was done; the first encoder is the final one."""
    per_tag = name.removeprefix("emnlp-")
    labels, taxonomy, asked, settings = (
        seed_labels(seed) if name == "seeds" else emnlp_labels(int(per_tag), seed)
    )
    data = TrainingData.of(labels, taxonomy)
    folds = plan_folds(data, settings)
    file = CACHE / f"{name}-{seed}.npz"
    if not file.exists():
        rows = [np.arange(len(labels))]
        rows += [np.flatnonzero(folds != fold) for fold in range(settings.folds)]
        plans = [plan_encoder(data, some, settings, "encoder") for some in rows]
        vectors = {}
        with closing(train_encoders(plans)) as encoders:
            for number, trained in enumerate(encoders):
                sets = {"labels": data.papers()}
                sets |= {} if number else {key: each.papers for key, each in asked.items()}
                for key, papers in sets.items():
                    for view, text_of in TEXT_VIEWS.items():
                        texts = [text_of(paper) for paper in papers]
                        vectors[f"{number}/{key}/{view}"] = trained.encoder.encode(texts)
                for facet in taxonomy.facets:
                    found = prototypes(facet, trained.encoder)
                    vectors[f"{number}/definitions/{facet.name}"] = found
                print(name, seed, f"encoder {number} of {len(plans) - 1}", flush=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **vectors)
    return Case(data, folds, asked, dict(np.load(file)))


def score(case: Case, facet: Facet, *, by_definition: bool) -> tuple[Scores, dict[str, Scores]]:
    """Return the out-of-fold scores of labelled papers, and those of the papers asked about."""
    data, name = case.data, facet.name
    shape = 2, len(data.labels), len(facet.tags)
    held_out = {view: np.zeros(shape) for view in VIEWS}
    asked: dict[str, Scores] = {}
    calibration = None
    # The final head, of encoder 0, knows the calibration.
    for number in (*range(1, case.folds.max() + 2), 0):
        rows = np.flatnonzero(case.folds != number - 1)
        rows = rows[data.annotated[name][rows]]
        vectorizer = fit_vectorizer(data.papers(rows))
        of_views = [case.vectors[f"{number}/labels/{view}"][rows] for view in ("whole", "title")]
        definitions = case.vectors[f"{number}/definitions/{name}"]
        if not number:
            calibration = fit_calibration(facet, data.y_true[name], held_out["whole"])
        head = fit_head(
            facet,
            np.concatenate(of_views),
            vectorizer.transform(data.papers(rows)),
            data.y_true[name][rows],
            definitions if by_definition else np.zeros_like(definitions),
            calibration,
        )
        if not number:
            for key, each in case.asked.items():
                terms = vectorizer.transform(each.papers)
                asked[key] = {
                    view: head.scores(case.vectors[f"0/{key}/{view}"], terms) for view in VIEWS
                }
            break
        unseen = np.flatnonzero(case.folds == number - 1)
        terms = vectorizer.transform(data.papers(unseen))
        for view in VIEWS:
            vectors = case.vectors[f"{number}/labels/{view}"][unseen]
            held_out[view][:, unseen] = head.scores(vectors, terms)
    return held_out, asked


def measure(
    case: Case, facet: Facet, setting: Setting, scores: Scores, asked: dict[str, Scores]
) -> dict[str, dict[str, float]]:
    """Return the figures of a setting in one facet, by set."""
    views, y_true = setting.views, case.data.y_true[facet.name]
    if setting.mean_of_logits:
        views = ("mean",)
        scores, *rest = (
            {"mean": np.mean([each[view] for view in setting.views], axis=0)}
            for each in (scores, *asked.values())
        )
        asked = dict(zip(asked, rest, strict=True))
    calibrate = setting.calibrate or fitted
    found = np.zeros((len(views), *y_true.shape))
    for fold in range(case.folds.max() + 1):
        own = case.folds == fold
        for place, view in enumerate(views):
            inputs = scores[view][:, ~own], scores[view][:, own]
            found[place, own] = calibrate(facet, y_true[~own], *inputs)
    threshold = setting.threshold or fit_threshold(facet, y_true, found.mean(axis=0))
    figures = {}
    for key, each in asked.items():
        by_view = [calibrate(facet, y_true, scores[view], each[view]) for view in views]
        truth, probabilities = case.asked[key].y_true[facet.name], np.mean(by_view, axis=0)
        given = predict_labels(facet, probabilities, threshold)
        bins = np.minimum((probabilities[given] * BINS).astype(int), BINS - 1)
        gaps = np.bincount(bins, probabilities[given] - truth[given], BINS)
        measured = evaluate(facet, truth, probabilities, threshold)
        figures[key] = {
            **{name: measured[name] for name in METRICS},
            "error": float(np.abs(gaps).sum() / max(given.sum(), 1)),
            "tags": float(given.sum(axis=1).mean()),
            "threshold": threshold,
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    found: dict[str, dict[str, list[dict[str, float]]]] = {name: {} for name in SETTINGS}
    for name in ("seeds", "emnlp-8", "emnlp-16"):
        for seed in range(options.seeds):
            case = prepare(name, seed)
            for facet in case.data.taxonomy.facets:
                scores = {each: score(case, facet, by_definition=each) for each in (True, False)}
                for setting, how in SETTINGS.items():
                    figures = measure(case, facet, how, *scores[how.by_definition])
                    for key, each in figures.items():
                        column = f"{key}, {facet.name}" if name == "seeds" else key
                        found[setting].setdefault(column, []).append(each)
                print(name, seed, facet.name, flush=True)
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(found) + "\n"
    (RESULTS / "calibration.json").write_text(text, encoding="utf-8")
    page = table(found, options.seeds)
    (RESULTS / "calibration.md").write_text(page, encoding="utf-8")
    print(page)


def table(found: dict[str, dict[str, list[dict[str, float]]]], seeds: int) -> str:
    columns = list(next(iter(found.values())))
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for setting, by_column in found.items():
        cells = []
        for column in columns:
            mean = {key: np.mean([each[key] for each in by_column[column]]) for key in KEYS}
            first = "accuracy" if column.endswith("contribution") else "micro_f1"
            numbers = [mean[first], mean["macro_f1"], mean["error"]]
            cell = " / ".join(f"{number:.3f}" for number in numbers)
            cells.append(cell if first == "accuracy" else f"{cell} / {mean['tags']:.2f}")
        lines.append(f"| {setting} | {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            "Contribution: accuracy / macro-F1 / calibration error of the tags given; others: "
            "micro-F1 / macro-F1 / calibration error of the tags given / tags a paper. Trained on "
            "the seed labels, or on 8 or 16 labels a tag of EMNLP 2022, and asked about other "
            f"papers, of pool those drawn at random; means of {seeds} seeds, on {machine()}.",
            "",
        ]
    )


KEYS = ("accuracy", "micro_f1", "macro_f1", "error", "tags")


if __name__ == "__main__":
    main()
