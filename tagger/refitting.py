"""New heads on the encoder of an earlier version: minutes of training become seconds.

The encoder has seen the papers it was fine-tuned on, so what new heads say of those would flatter
them. What is remembered of these papers is what the earlier version's folds said, which had not
seen them; only papers that came since are held out anew.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tagger.cascade import HeldOutReading, calibrate_reading, calibrations_of
from tagger.decision import paper_confidence
from tagger.encoder import ONNX_FILE, TOKENIZER_FILE, Vectors
from tagger.encoder_training import TrainingProgress
from tagger.errors import TaggerError
from tagger.evaluation import Booleans, Integers
from tagger.heads import PARTS
from tagger.labels import Label
from tagger.lexical import fit_lexical_features
from tagger.model import Stage, TaggerModel, load_model, save_heads
from tagger.reading import READINGS
from tagger.reference import Foreseen, Reference, familiarity
from tagger.taxonomy import Taxonomy
from tagger.training import (
    TrainingResult,
    TrainingSettings,
    check_folds,
    fit_heads,
    metrics_of,
    plan_folds,
)
from tagger.training_data import TrainingData
from tagger.training_texts import views_of
from tagger.zero_shot import encode_descriptions


def refit_heads(
    labels: Sequence[Label],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    earlier: TaggerModel,
    earlier_folder: Path,
    seen: Collection[str],
    folder: Path,
    progress: TrainingProgress | None = None,
    *,
    known_folds: Mapping[str, int] | None = None,
) -> TrainingResult:
    """Fit heads on the encoder of an earlier model, and save both as a new model.

    Parameters
    ----------
    labels, taxonomy, settings, folder, progress, known_folds:
        As for :func:`tagger.training.train`; of the settings, those of fine-tuning do not count.
    earlier, earlier_folder:
        The model that the encoder is from, and its files.
    seen:
        Ids of the papers that the encoder was fine-tuned on.

    Raises
    ------
    TaggerError
        If the labels are too few, or the taxonomy is not that of the earlier model.
    """
    begin = time.perf_counter()
    if earlier.taxonomy.version != taxonomy.version:
        raise TaggerError(
            f"the taxonomy has changed since {earlier.name} was trained",
            hint="Train without --heads-only",
        )
    data = TrainingData.of(labels, taxonomy)
    data.check_enough(settings.folds)
    folds = plan_folds(data, settings, known_folds)
    check_folds(data, folds, settings, None)
    remembered = {name: row for row, name in enumerate(earlier.reference.ids)}
    old = np.array([name in remembered for name in data.ids])
    new = np.array([name not in remembered and name not in seen for name in data.ids])
    everything = np.arange(len(labels))
    step = (lambda done, total: progress("Reading labels", done, total)) if progress else None
    views = earlier.encoder.encode(
        views_of(data, everything, title_views=settings.title_views), step
    )

    descriptions = encode_descriptions(taxonomy, earlier.encoder)
    readings = _hold_out(data, folds, settings, earlier, views, descriptions, new)
    rows_of_old = np.array([remembered[name] for name in data.ids if name in remembered], dtype=int)

    def completed(found: Foreseen, then: Foreseen) -> Foreseen:
        """Put in what the earlier folds said of the papers that they held out."""
        found.familiarity[old] = then.familiarity[rows_of_old]
        for name, chances in found.probabilities.items():
            chances[old] = then.probabilities[name][rows_of_old]
        return found

    reference = earlier.reference
    whole = completed(
        readings["whole"].foreseen, Foreseen(reference.familiarity, reference.probabilities)
    )
    efforts, foreseen = _carry_on(earlier, readings)
    foreseen = {name: completed(each, reference.efforts[name]) for name, each in foreseen.items()}

    known = np.flatnonzero(old | new)
    out_of_fold = []
    for facet in taxonomy.facets:
        rows = known[data.judged[facet.name][known]]
        out_of_fold.append(data.held_out(facet, rows, folds, whole.probabilities[facet.name][rows]))
    lexical = fit_lexical_features(data.papers())
    heads = [
        replace(head, calibration=readings["whole"].calibrations[head.facet.name])
        for head in fit_heads(data, everything, views, descriptions, lexical, None, measured=False)
    ]
    now = whole.take(known)
    remembering = Reference(
        tuple(data.ids_of(known)),
        tuple(labels[row].title for row in known),
        views[known],
        now.familiarity,
        now.probabilities,
        {name: values[known] for name, values in data.truth.items()},
        {name: values[known] for name, values in data.judged.items()},
        {name: each.take(known) for name, each in foreseen.items()},
    )
    folder.mkdir(parents=True, exist_ok=True)
    for file in (ONNX_FILE, TOKENIZER_FILE):
        shutil.copyfile(earlier_folder / file, folder / file)
    save_heads(folder, taxonomy, lexical, heads, remembering, settings.max_tokens, efforts)
    return TrainingResult(
        load_model(folder),
        folder,
        tuple(out_of_fold),
        None,
        (),
        metrics_of(out_of_fold),
        time.perf_counter() - begin,
    )


def _hold_out(
    data: TrainingData,
    folds: Integers,
    settings: TrainingSettings,
    earlier: TaggerModel,
    views: Vectors,
    descriptions: Mapping[str, Vectors],
    new: Booleans,
) -> dict[str, HeldOutReading]:
    """Return what heads that have not seen them say of new papers; of others, nothing of use."""
    papers = data.papers()
    nearness = {reading: np.zeros(len(papers)) for reading in READINGS}
    scores = {
        reading: {name: np.zeros((len(PARTS), *t.shape)) for name, t in data.truth.items()}
        for reading in READINGS
    }
    copies = len(views) // len(papers)
    for fold in range(settings.folds):
        unseen, rest = np.flatnonzero(new & (folds == fold)), np.flatnonzero(folds != fold)
        if not len(unseen):
            continue
        shown = views[np.concatenate([rest + copy * len(papers) for copy in range(copies)])]
        lexical = fit_lexical_features(data.papers(rest))
        heads = fit_heads(data, rest, shown, descriptions, lexical, None, measured=True)
        terms = lexical.transform(data.papers(unseen))
        for reading, read in READINGS.items():
            vectors = earlier.encoder.encode([read(paper) for paper in data.papers(unseen)])
            nearness[reading][unseen] = familiarity(vectors, views[rest])
            for head in heads:
                scores[reading][head.facet.name][:, unseen] = head.scores(vectors, terms)
    fresh = replace(data, judged={name: asked & new for name, asked in data.judged.items()})
    usual = calibrations_of(earlier)
    return {
        reading: calibrate_reading(fresh, folds, scores[reading], nearness[reading], usual[reading])
        for reading in READINGS
    }


def _carry_on(
    earlier: TaggerModel, readings: Mapping[str, HeldOutReading]
) -> tuple[dict[str, tuple[Stage, ...]], dict[str, Foreseen]]:
    """Keep the efforts of a model, with the calibration of now."""
    efforts, foreseen = {}, {}
    for effort, stages in earlier.efforts.items():
        efforts[effort] = tuple(
            stage.model_copy(update={"calibration": readings[stage.reading].calibrations})
            for stage in stages
        )
        said = readings[stages[-1].reading].foreseen
        for stage in reversed(stages[:-1]):
            brief = readings[stage.reading].foreseen
            sure = paper_confidence(earlier.taxonomy, brief.probabilities) >= stage.sure_from
            said = brief.where(sure, said)
        foreseen[effort] = said.take(np.arange(len(said.familiarity)))
    return efforts, foreseen
