"""How fast does tagger tag, and what does it need, beside SetFit on the same encoder?

One encoder is fine-tuned on the seed labels. tagger serves it as it serves any model; SetFit gets
the same weights, with the head that it comes with, and predicts by itself (PyTorch), and exported
by its own exporter to ONNX. tagger reads with each effort. All tag the 210 papers of the real
digests, in turns, several times over; each round's texts differ by a number at their end, so that
no cache knows them, but for the row in which tagger has seen the page before. Start-up and memory
are of processes that tag one paper and all of them. The command, too, tags one paper, by the
champion: what is measured is when its tags are on the screen, and when it ends.

    python experiments/speed.py  # writes experiments/results/speed.*
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gold import Gold, read_gold, settings_of, some
from record import ROOT, environment_of_tagger, read_options, run_python, write_result

from tagger.evaluation import evaluate
from tagger.labels import LabelStore
from tagger.model import CachedEncoder, TaggerModel, VectorCache, load_model
from tagger.papers import Paper
from tagger.registry import Registry, log_training
from tagger.taxonomy import Taxonomy
from tagger.training import TrainingData, TrainingSettings, train
from tagger.training.fine_tuning import fine_tune
from tagger.training.run import plan_encoder

BATCH = 32
THRESHOLDS = tuple(step / 100 for step in range(1, 100))
TENSORS = {"return_token_type_ids": True}
"""SetFit's export expects them, also of a tokenizer that does not make them by itself."""
Answers = dict[str, npt.NDArray[np.float64]]
Tagging = Callable[[list[Paper]], Answers]


def fine_tune_once(
    store: LabelStore, data: TrainingData, settings: TrainingSettings, folder: Path
) -> None:
    """Train the model that tagger serves, and keep the encoder as PyTorch has it for SetFit."""
    result = train(data.labels, store.taxonomy, settings, folder / "model")
    with contextlib.chdir(folder):
        log_training(Registry(), result, settings, store.snapshot())
    # Equal inputs and seeds give the same weights again.
    plan = plan_encoder(data, np.arange(len(data.labels)), settings, "SetFit")
    fine_tune(plan.examples, plan.tuning).save(str(folder / "torch"))


def setfit_heads(folder: Path, data: TrainingData, settings: TrainingSettings) -> dict[str, Any]:
    from sentence_transformers import SentenceTransformer
    from setfit import SetFitModel
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    models = {}
    for facet in data.taxonomy.facets:
        body = SentenceTransformer(str(folder / "torch"))
        body.max_seq_length = settings.max_tokens
        vectors = body.encode([label.paper.text for label in data.labels], show_progress_bar=False)
        y_true = data.y_true[facet.name]
        if facet.exclusive:
            head = LogisticRegression().fit(vectors, y_true.argmax(axis=1))
        else:
            head = OneVsRestClassifier(LogisticRegression()).fit(vectors, y_true.astype(int))
        models[facet.name] = SetFitModel(model_body=body, model_head=head)
    return models


def setfit(model: Any) -> Tagging:
    """SetFit's own prediction of one facet, by which it is timed: each facet is a model to it."""

    def tag(papers: list[Paper]) -> Answers:
        probabilities = model.predict_proba([paper.text for paper in papers], as_numpy=True)
        return {"": np.asarray(probabilities, dtype=np.float64)}

    return tag


def setfit_onnx(model: Any, folder: Path) -> Tagging:
    import onnxruntime
    from setfit.exporters.onnx import OnnxSetFitModel, export_onnx_setfit_model

    body = model.model_body
    path = folder / "setfit.onnx"
    tokenizer = body.tokenizer
    sample = tokenizer(["a sample"], padding=True, **TENSORS, return_tensors="pt")
    wrapped = OnnxSetFitModel(
        body[0].auto_model.cpu(), lambda features: body[1](features)["sentence_embedding"]
    )
    export_onnx_setfit_model(wrapped.eval(), dict(sample), str(path), opset=17)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    limit = int(body.max_seq_length)

    def tag(papers: list[Paper]) -> Answers:
        parts = []
        for start in range(0, len(papers), BATCH):
            texts = [paper.text for paper in papers[start : start + BATCH]]
            inputs = tokenizer(
                texts,
                padding=True,
                truncation=True,
                max_length=limit,
                **TENSORS,
                return_tensors="np",
            )
            parts.append(session.run(None, {name: inputs[name] for name in names})[0])
        probabilities = model.model_head.predict_proba(np.concatenate(parts))
        return {"": np.asarray(probabilities, dtype=np.float64)}

    return tag


def tfidf(data: TrainingData) -> Tagging:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    known = words.fit_transform([label.paper.text for label in data.labels])
    heads = {}
    for facet in data.taxonomy.facets:
        y_true = data.y_true[facet.name]
        plain = LogisticRegression(C=10.0, class_weight="balanced", max_iter=2000)
        if facet.exclusive:
            heads[facet.name] = plain.fit(known, y_true.argmax(axis=1))
        else:
            heads[facet.name] = OneVsRestClassifier(plain).fit(known, y_true.astype(int))

    def tag(papers: list[Paper]) -> Answers:
        asked = words.transform([paper.text for paper in papers])
        return {name: head.predict_proba(asked) for name, head in heads.items()}

    return tag


def varied(papers: list[Paper], number: int) -> list[Paper]:
    """Return papers of the same length that no cache has seen."""
    return [replace(paper, abstract=f"{paper.abstract} {number}", id="") for paper in papers]


def as_process(code: str) -> tuple[float, float]:
    """Run code in a process; return its seconds and its peak memory in megabytes."""
    begin = time.perf_counter()
    _, peak = run_python(code)
    return time.perf_counter() - begin, peak


def processes(folder: Path, papers: list[Paper]) -> dict[str, str]:
    """Return what each process runs: tag the papers in a file."""
    texts = folder / "papers.json"
    texts.write_text(json.dumps([[p.title, p.abstract] for p in papers]), encoding="utf-8")
    read = f"import json; papers = json.load(open({str(texts)!r}))[:COUNT]\n"
    return {
        "tagger": read
        + "from tagger.model import load_model\nfrom tagger.papers import Paper\n"
        + f"model = load_model({str(folder / 'model')!r})\n"
        + "model.predict_proba([Paper(title, text) for title, text in papers])\n",
        "SetFit": read
        + "from setfit import SetFitModel\n"
        + f"model = SetFitModel.from_pretrained({str(folder / 'setfit')!r})\n"
        + "model.predict_proba([f'{title}. {text}' for title, text in papers])\n",
    }


def as_command(folder: Path, paper: Paper) -> tuple[float, float]:
    """Run ``tagger tag`` on a paper; return seconds until its tags are shown, and to the end."""
    page = json.dumps({"title": paper.title, "abstract": paper.abstract})
    (folder / "page.jsonl").write_text(page + "\n", encoding="utf-8")
    begin = time.perf_counter()
    command = [sys.executable, "-m", "tagger", "tag", "page.jsonl", "--replace"]
    with subprocess.Popen(
        command, cwd=folder, env=environment_of_tagger(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        # Its last line, after the table.
        next(line for line in process.stdout if line.startswith("Written"))
        shown = time.perf_counter() - begin
    assert process.returncode == 0
    return shown, time.perf_counter() - begin


def figures(
    taxonomy: Taxonomy, gold: Gold, answers: Answers, thresholds: Mapping[str, float]
) -> dict[str, float]:
    """Return F1 by facet; without a threshold, at that which is best on these very papers."""
    found = {}
    for facet in taxonomy.facets:
        if facet.name in answers:
            key = "macro_f1" if facet.exclusive else "micro_f1"
            known = gold.y_true[facet.name], answers[facet.name]
            tried = [thresholds[facet.name]] if facet.name in thresholds else THRESHOLDS
            found[facet.name] = max(evaluate(facet, *known, bar)[key] for bar in tried)
    return found


def main() -> None:
    options = read_options(__doc__, rounds=(5, 1))
    settings = settings_of(options.quick, folds=2)
    store = LabelStore(ROOT / "labels")
    gold = read_gold(store.taxonomy)
    data = TrainingData.of(some(store.labels(), options.quick), store.taxonomy)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        fine_tune_once(store, data, settings, folder)
        rows = measure(folder, data, gold, settings, options.rounds)
        as_command(folder, gold.papers[0])  # the first looks the champion up
        times = [as_command(folder, gold.papers[0]) for _ in range(options.rounds)]
    shown, done = map(statistics.median, zip(*times, strict=True))
    found = {"methods": rows, "command": {"shown": shown, "done": done}}
    page = table(rows) + (
        f"{len(gold.papers)} papers of real digests (dev, on which settings were chosen), cut to "
        f"{settings.max_tokens} tokens; medians of {options.rounds} rounds in turns; trained on "
        f"{len(data.labels)} seed labels. SetFit has the same fine-tuned encoder, and is timed for "
        "one facet of two. F1 is macro-F1 of an exclusive facet, else micro-F1, at the threshold "
        "that tagger chose; the others, which choose none, are shown at that which is best on "
        "these very papers. The command tagger tag shows a paper's tags "
        f"after {shown:.1f} s and ends after {done:.1f} s."
    )
    write_result(options, "speed", found, page)
    draw(rows, list(rows[0]["f1"]), options.output / "speed.svg")


def measure(
    folder: Path, data: TrainingData, gold: Gold, settings: TrainingSettings, rounds: int
) -> list[dict[str, Any]]:
    model = load_model(folder / "model")
    others = setfit_heads(folder, data, settings)
    exclusive = next(facet.name for facet in data.taxonomy.facets if facet.exclusive)
    others[exclusive].save_pretrained(str(folder / "setfit"))
    models = {
        "tagger": model,
        "tagger --effort balanced": model.at_effort("balanced"),
        "tagger --effort low": model.at_effort("low"),
        "tagger, page seen before": cached(model, folder),
    }
    thresholds = {name: served.thresholds for name, served in models.items()}
    methods: dict[str, Tagging] = {
        "SetFit": setfit(others[exclusive]),
        "SetFit, its own ONNX export": setfit_onnx(others[exclusive], folder),
        **{name: served.predict_proba for name, served in models.items()},
        "TF-IDF + logistic regression": tfidf(data),
    }
    seen = varied(gold.papers, -1)
    methods["tagger, page seen before"](seen)
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for number in range(rounds):
        papers = varied(gold.papers, number)
        for name, method in methods.items():
            asked = seen if name.endswith("before") else papers
            begin = time.perf_counter()
            method(asked)
            seconds[name].append(time.perf_counter() - begin)
            print(name, f"{seconds[name][-1]:.2f} s", flush=True)
    f1 = {}
    for name, method in methods.items():
        answers = method(gold.papers)
        if name == "SetFit":
            answers = {facet: setfit(other)(gold.papers)[""] for facet, other in others.items()}
        elif "" in answers:
            answers = {exclusive: answers[""]}
        f1[name] = figures(data.taxonomy, gold, answers, thresholds.get(name, {}))
    starts: dict[str, list[float]] = {name: [] for name in ("SetFit", "tagger")}
    peaks: dict[str, list[float]] = {name: [] for name in starts}
    code = processes(folder, gold.papers)
    for _ in range(rounds):
        for name in starts:
            starts[name].append(as_process(code[name].replace("COUNT", "1"))[0])
            peaks[name].append(as_process(code[name].replace("COUNT", "None"))[1])
    return [
        {
            "method": name,
            "papers_per_second": len(gold.papers) / statistics.median(times),
            "all_papers_per_second": [len(gold.papers) / value for value in times],
            "f1": f1[name],
            "start_seconds": statistics.median(starts[name]) if name in starts else None,
            "peak_megabytes": statistics.median(peaks[name]) if name in peaks else None,
        }
        for name, times in seconds.items()
    ]


def cached(model: TaggerModel, folder: Path) -> TaggerModel:
    encoder = CachedEncoder(
        lambda: model.encoder, "speed", model.reference.vectors.shape[1], VectorCache(folder / "c")
    )
    return replace(model, encoder=encoder)


def table(rows: list[dict[str, Any]]) -> str:
    base = rows[0]
    facets = list(base["f1"])
    lines = [
        "| | papers/s | times SetFit's | "
        + " | ".join(f"{name} F1" for name in facets)
        + " | start to first tag | peak memory |",
        "|---|" + "---|" * (4 + len(facets)),
    ]
    for row in rows:
        speed = row["papers_per_second"]
        cells = [f"{speed:,.0f}", f"{speed / base['papers_per_second']:.1f}"]
        cells += [f"{row['f1'][name]:.3f}" if name in row["f1"] else "" for name in facets]
        start, peak = row["start_seconds"], row["peak_megabytes"]
        cells.append(f"{start:.1f} s" if start else "")
        cells.append(f"{peak:,.0f} MB" if peak else "")
        lines.append(f"| {row['method']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", ""])


def draw(rows: list[dict[str, Any]], facets: list[str], path: Path) -> None:
    """Draw quality against speed, a panel a facet."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(facets), 4.5), layout="constrained")
    panels = figure.subplots(1, len(facets), squeeze=False)[0]
    for axes, name in zip(panels, facets, strict=True):
        for number, row in enumerate(rows):
            # A page seen before is as good as when it was seen.
            if name in row["f1"] and not row["method"].endswith("before"):
                marker = "o" if "tagger" in row["method"] else "s"
                point = row["papers_per_second"], row["f1"][name]
                axes.plot(*point, marker, color=f"C{number}", label=row["method"])
        axes.set(xscale="log", xlabel="papers a second", ylabel="F1", ylim=(0, 1), title=name)
        axes.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
