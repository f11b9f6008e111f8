"""What does a larger encoder bring, and what does it cost?

The bundled encoder, all-MiniLM-L6-v2, and all-mpnet-base-v2, which has twice the layers and twice
the dimensions, are trained by the default recipe on the seed labels and measured on dev and dev2 of
../shared/gold. The larger one is assembled by ../shared/encoders/mpnet.sh, once.

    python experiments/encoders.py  # writes experiments/results/encoders.*
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from baselines import figures, tags_of
from gold import Gold, encoder_folder, read_gold, settings_of, some
from record import ROOT, SHARED, read_options, write_result

from tagger.labels import LabelStore
from tagger.model import TaggerModel, load_model
from tagger.papers import Paper
from tagger.training import train

SETS = ("dev", "dev2")
TIMED_PAPERS, ROUNDS = 64, 5


def mpnet_folder(cache: Path, quick: bool) -> Path:
    """Return the folder of all-mpnet-base-v2, assembled if it is not there."""
    if quick:
        return encoder_folder(quick)
    folder = cache / "all-mpnet-base-v2"
    if not folder.exists():
        script = SHARED / "encoders" / "mpnet.sh"
        subprocess.run(["bash", str(script), str(folder)], check=True)
    return folder


def measure(model: TaggerModel, sets: dict[str, Gold]) -> dict[str, Any]:
    """Return the figures of a model on each set."""
    return {name: figures(gold.y_true, tags_of(model, gold.papers)) for name, gold in sets.items()}


def papers_per_second(models: dict[str, TaggerModel], papers: list[Paper]) -> dict[str, float]:
    """Return the median of some rounds, in which each model tags the papers in turns."""
    found: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, model in models.items():
            begin = time.perf_counter()
            model.predict_proba(papers)
            found[name].append(len(papers) / (time.perf_counter() - begin))
    return {name: statistics.median(rates) for name, rates in found.items()}


def main() -> None:
    options = read_options(__doc__, in_process=True)
    store = LabelStore(ROOT / "labels")
    labels = some(store.labels(), options.quick)
    sets = {name: read_gold(store.taxonomy, name) for name in SETS}
    encoders = {
        "all-MiniLM-L6-v2": encoder_folder(options.quick),
        "all-mpnet-base-v2": mpnet_folder(options.cache, options.quick),
    }
    rows: dict[str, dict[str, Any]] = {}
    models = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, encoder in encoders.items():
            settings = settings_of(options.quick, encoder=str(encoder), folds=2)
            folder = Path(scratch) / name
            train(labels, store.taxonomy, settings, folder)
            models[name] = load_model(folder)
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            rows[name] = {"megabytes": size / 1e6, **measure(models[name], sets)}
            print(name, rows[name], flush=True)
        for name, rate in papers_per_second(models, sets["dev"].papers[:TIMED_PAPERS]).items():
            rows[name]["papers per second"] = rate
    write_result(options, "encoders", rows, table(rows, len(labels)))


def table(rows: dict[str, dict[str, Any]], labels: int) -> str:
    lines = [
        "| | papers | contribution accuracy | contribution macro-F1 | domain micro-F1 "
        "| time to tag | model |",
        "|---|---|---|---|---|---|---|",
    ]
    fastest = max(row["papers per second"] for row in rows.values())
    for place in SETS:
        for name, row in rows.items():
            found = row[place]
            cells = [f"{found['accuracy']:.3f}"]
            for key in ("macro-F1", "micro-F1"):
                cells.append(
                    "{:.3f} ({:.3f} to {:.3f})".format(found[key], *found[f"{key} interval"])
                )
            times = fastest / row["papers per second"]
            cells += [f"{times:.1f} times", f"{row['megabytes']:.0f} MB"]
            lines.append(f"| {name} | {place} | {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            f"Trained by the default recipe on the {labels} seed labels, one seed and 2 folds, "
            "with 95% bootstrap intervals; times are those of `--effort full`, by the medians of "
            f"{ROUNDS} rounds in turns. Settings were chosen on both sets, with the smaller "
            "encoder.",
        ]
    )


if __name__ == "__main__":
    main()
