"""Bring the measured tables, and the scripts that made them, into the site.

Pages link to them as it holds in the repository, ``../experiments/results/trust.md``.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each table as a page, and everything else as it is."""
    root = Path(config.config_file_path).parent
    experiments = root / "experiments"
    for path in sorted((*experiments.glob("*.py"), *experiments.glob("results/*.*"))):
        place = path.relative_to(root)
        file = File.generated(
            config,
            f"../{place.as_posix()}",
            abs_src_path=str(path),
            inclusion=InclusionLevel.NOT_IN_NAV,
        )
        # Inside the site, unlike the source.
        html = path.suffix == ".md"
        file.dest_uri = (place.with_suffix(".html") if html else place).as_posix()
        files.append(file)
    return files
