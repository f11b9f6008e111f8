"""Draw docs/pictures/architecture.svg: the packages of tagger, from the import contract.

    python scripts/architecture.py

The layers are those of the first import-linter contract in pyproject.toml. A test checks that the
picture is up to date.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "architecture.svg"
NOT_SHOWN = ("__main__",)
WIDTH, MARGIN, GAP, HEIGHT, ARROW = 560, 16, 8, 34, 40


def layers() -> list[list[str]]:
    """Return the packages of each layer of the import contract, from top to bottom."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    rows = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
    return [row for row in rows if row[0] not in NOT_SHOWN]


def picture() -> str:
    """Return the picture as SVG: a row of boxes for each layer, an arrow for the imports."""
    boxes, top = [], MARGIN
    for row in layers():
        width = (WIDTH - ARROW - 2 * MARGIN - GAP * (len(row) - 1)) // len(row)
        for place, name in enumerate(row):
            left = MARGIN + ARROW + place * (width + GAP)
            boxes.append(f'<rect x="{left}" y="{top}" width="{width}" height="{HEIGHT}" rx="6"/>')
            boxes.append(f'<text x="{left + width // 2}" y="{top + 22}">{name}</text>')
        top += HEIGHT + GAP
    height = top - GAP + MARGIN
    middle, end = MARGIN + ARROW // 4, height - MARGIN
    head = f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" role="img">
<title>The packages of tagger: each imports only from packages below it</title>
<style>
text {{ font: bold 14px monospace; fill: #333; text-anchor: middle }}
rect {{ fill: #f4f6f8; stroke: #9aa5b1 }}
path {{ fill: none; stroke: #9aa5b1; stroke-width: 2 }}
</style>
<rect width="{WIDTH}" height="{height}" style="fill: #fff; stroke: none"/>
<path d="M{middle} {MARGIN} V{end} m-6 -8 l6 8 l6 -8"/>
<text transform="translate({middle + 8} {height // 2}) rotate(90)">imports</text>
"""
    return head + "\n".join(boxes) + "\n</svg>\n"


def made() -> dict[Path, str]:
    """Return the content of each file that this script writes."""
    return {PICTURE: picture()}


if __name__ == "__main__":
    for path, content in made().items():
        path.write_text(content, encoding="utf-8")
