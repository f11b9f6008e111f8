"""``tagger tag --engine ray``: tag large tables on several workers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tagger.cli.output import (
    needs_extra,
    parse_columns,
    print_json,
    progress,
    review_rule,
    warn,
)
from tagger.cli.terminal import echo
from tagger.errors import shown

if TYPE_CHECKING:
    from tagger.scale.run import ScaleRun


def tag_with_ray(
    places: list[str],
    output: Path,
    model: str,
    min_confidence: float,
    target_precision: float | None,
    effort: str,
    format_name: str | None,
    column: list[str] | None,
    workers: int | None,
    cluster: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Tag tables on workers of Ray; the parameters are the options of ``tagger tag``."""
    from tagger.model import load_model
    from tagger.readers import check_reading
    from tagger.registry.resolve import find_model_folder
    from tagger.vector_cache import usual_cache

    columns = parse_columns(column or [])
    check_reading(format_name, columns)
    with needs_extra("scale"), tempfile.TemporaryDirectory() as scratch:
        from tagger.scale.ray_engine import RayEngine, device_of_cluster, ray_cluster
        from tagger.scale.run import tag_tables
        from tagger.tagging import PROBLEMS_FILE

        found = find_model_folder(model, Path(scratch))
        # With a cache, the encoder is not loaded here, where nothing is encoded.
        loaded = load_model(found.folder, found.version, usual_cache()).at_effort(effort)
        rule, promise = review_rule(loaded, min_confidence, target_precision)
        with ray_cluster(cluster, workers), progress() as step:
            device = device_of_cluster(device)
            run = tag_tables(
                places,
                loaded,
                found.folder,
                output,
                rule,
                RayEngine(workers, device),
                columns=columns,
                format_name=format_name,
                device=device,
                progress=step,
            )
    manifest = run.manifest
    if as_json:
        print_json(
            {
                **manifest.model_dump(exclude={"parts", "run"}),
                "effort": effort,
                "shards_before": run.shards_before,
                "promise": promise
                and {
                    "target_precision": target_precision,
                    "expected_coverage": promise.coverage,
                    "shortfalls": promise.shortfalls,
                },
                "output": shown(output),
            }
        )
    else:
        _print_run(run, output)
    if manifest.problems:
        where = shown(output / PROBLEMS_FILE)
        warn(f"rows that could not be tagged: {manifest.problems}; why is said in {where}")
        raise typer.Exit(2)


def _print_run(run: ScaleRun, output: Path) -> None:
    manifest = run.manifest
    for facet, counts in manifest.counts.items():
        said = ", ".join(f"{tag} {number}" for tag, number in counts.most_common())
        echo(f"{facet}: {said or 'no tags'}")
    before = f", done before: {run.shards_before}" if run.shards_before else ""
    echo(
        f"{manifest.rows} rows (shards: {manifest.shards}{before}), {manifest.tagged} papers, "
        f"{manifest.merged} more entries of them, {manifest.problems} not tagged, "
        f"{manifest.to_review} to review, tagged by {manifest.model}"
    )
    echo(f"Written: {shown(output / 'tags')}")
