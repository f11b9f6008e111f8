"""What is in a workspace: torn files, labels lost or doubled, and what all of it amounts to."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any


def examine(
    workspace: Path, known: dict[str, Any] | None = None, whole: bool = True
) -> dict[str, Any]:
    """Look at a workspace: what is torn, lost, doubled, and what all of it amounts to.

    Parameters
    ----------
    workspace:
        The folder.
    known:
        What was found before the command; its labels have to be there.
    whole:
        Whether to look at all versions; otherwise at the champion only.
    """
    torn = [f"{path.relative_to(workspace)}: {why}" for path, why in torn_files(workspace)]
    lines = label_lines(workspace)
    papers = library_papers(workspace)
    lost = [line for line in (known or {"labels": []})["labels"] if line not in lines]
    lost += [paper for paper in (known or {"papers": []})["papers"] if paper not in papers]
    doubled = [line for line, times in Counter(map(annotation_of, lines)).items() if times > 1]
    registry, problem = versions_of(whole)
    return {
        "torn": torn,
        "labels": lines,
        "papers": papers,
        "lost": lost,
        "doubled": doubled,
        "champion": problem,
        "versions": registry,
        "files": dict(files_of(workspace)),
    }


def torn_files(workspace: Path) -> Iterator[tuple[Path, str]]:
    """Yield each file that cannot be read, but for those that belong to no version yet."""
    import yaml

    from tagger.errors import TaggerError
    from tagger.labels import LabelStore

    for path in sorted(workspace.rglob("*")):
        inner = path.relative_to(workspace).parts
        if not path.is_file() or path.suffix == ".lock" or is_left_behind(path):
            continue
        if inner[:2] == ("mlruns", "artifacts"):
            continue
        try:
            if path.suffix == ".jsonl":
                text = path.read_text(encoding="utf-8")
                if text and not text.endswith("\n"):
                    yield path, "ends within a line"
                for line in filter(None, text.splitlines()):
                    json.loads(line)
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
            elif path.suffix == ".yaml":
                yaml.safe_load(path.read_text(encoding="utf-8"))
            elif path.suffix == ".parquet":
                import pyarrow.parquet

                pyarrow.parquet.read_table(path)
            elif path.suffix in (".db", ".sqlite"):
                with closing(sqlite3.connect(path)) as database:
                    said = database.execute("PRAGMA integrity_check").fetchone()[0]
                    if said != "ok":
                        yield path, said
        except Exception as error:
            yield path, f"{type(error).__name__}: {error}"[:200]
    for folder in (workspace / "labels", workspace / "mine"):
        if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
            try:
                LabelStore(folder).all_labels()
            except TaggerError as error:
                yield folder, str(error)
    if (workspace / "tagged" / "tags_dataset").exists():
        try:
            from datasets import load_from_disk

            load_from_disk(str(workspace / "tagged" / "tags_dataset"))
        except Exception as error:
            yield workspace / "tagged" / "tags_dataset", str(error)[:200]


def is_left_behind(path: Path) -> bool:
    """Tell whether a file is what a killed writer had not finished."""
    return any(part.endswith(".tmp") for part in path.parts)


def label_lines(workspace: Path) -> list[str]:
    """Return every line of the label files."""
    return [
        line
        for name in ("seed.jsonl", "corrections.jsonl")
        if (path := workspace / "labels" / name).exists()
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def library_papers(workspace: Path) -> list[list[str]]:
    """Return the id and the day of each paper of the library."""
    from tagger.papers import Library

    path = workspace / "papers.sqlite"
    papers = Library(path).papers() if path.exists() else ()
    return [[one.tagged.id, one.added.isoformat()] for one in papers]


def annotation_of(line: str) -> str:
    """Return what tells a label from the others: of a correction, the annotation and its time."""
    try:
        label = json.loads(line)
        origin = label["origin"]
    except (ValueError, KeyError):
        return line
    return f"{origin['annotation']} {origin['updated']} {label.get('outcome')}"


def versions_of(whole: bool) -> tuple[dict[str, Any], str | None]:
    """Return what the aliases stand for, and why the champion cannot be used if it cannot."""
    from tagger.errors import TaggerError
    from tagger.papers import Paper

    if not Path("mlruns/mlflow.db").exists():
        return {}, None
    from tagger.registry import Registry

    registry = Registry()
    found: dict[str, Any] = {}
    try:
        champion = registry.champion()
        if champion:
            registry.load(champion).predict_proba([Paper("On the court", "A judge.")])
        for version in registry.versions() if whole else ():
            registry.load(version)
            data = registry.run(version).data
            for alias in version.aliases:
                found[alias] = {
                    "seed": data.params["seed"],
                    "labels": data.params["labels"],
                    "figures": {
                        name: round(value, 6)
                        for name, value in data.metrics.items()
                        if name.startswith(("Reviewed/", "Seed/"))
                    },
                    "notes": {
                        name: re.sub(r'"(time|promoted)": "[^"]*"', "", value)
                        for name, value in version.tags.items()
                        if name in ("tagger.promotion", "tagger.rollback", "taxonomy")
                    },
                }
        if found:
            with registry.store.reading() as client:
                noted = client.get_registered_model("tagger").tags
            # Those with the id of a run belong to a version.
            found["line"] = {
                name: value for name, value in noted.items() if name.startswith("mlflow.tagger.")
            }
    except TaggerError as error:
        return found, str(error)
    except Exception as error:
        return found, f"{type(error).__name__}: {error}"[:300]
    return found, None


def files_of(workspace: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the hash of each file that a command is asked for."""
    from tagger.papers import Library

    for path in sorted(workspace.rglob("*")):
        name = str(path.relative_to(workspace))
        if not path.is_file() or path.suffix == ".lock" or is_left_behind(path):
            continue
        if name.startswith(("mlruns/", "cache/")):
            continue
        content = path.read_bytes()
        if path.suffix == ".sqlite":
            # Its bytes depend on how often it was changed.
            library = Library(path)
            content = repr([*library.papers(), library.near_duplicates()]).encode()
        if path.name == "taxonomy.yaml":
            content = re.sub(rb"since: .*", b"", content)
        if path.name == "corrections.jsonl":
            # A withdrawal has the time at which it was noticed.
            content = re.sub(rb'("outcome":"withdrawn".*?)"time":"[^"]*"', rb"\1", content)
        yield name, hashlib.sha256(content).hexdigest()[:12]


def tasks_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return what Label Studio shows, without the numbers that it gives to things."""
    return {
        "projects": sorted(
            [p["title"], p["task_number"], p.get("model_version"), p["label_config"]]
            for p in state["projects"].values()
        ),
        "tasks": sorted(
            json.dumps([t["data"], t["meta"], t["predictions"], len(t["annotations"])])
            for t in state["tasks"].values()
        ),
        "views": sorted(view["data"]["title"] for view in state["views"].values()),
    }
