"""Bring the pictures that lie outside docs/ into the site.

Pages link to them as it holds in the repository, ``../experiments/results/speed.svg``.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pictures of the results and of the examples."""
    root = Path(config.config_file_path).parent
    for path in sorted((*root.glob("experiments/results/*.svg"), *root.glob("examples/*.png"))):
        place = path.relative_to(root).as_posix()
        file = File.generated(
            config,
            f"../{place}",
            abs_src_path=str(path),
            inclusion=InclusionLevel.NOT_IN_NAV,
        )
        # Inside the site, unlike the source.
        file.dest_uri = place
        files.append(file)
    return files
