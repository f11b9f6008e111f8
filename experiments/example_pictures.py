"""Draw the pictures of the example pages in the README and docs, tagged by the champion.

    python experiments/example_pictures.py

runs ``tagger tag`` and ``tagger report`` on examples/, and writes what the first prints to
examples/terminal.svg and how the page looks in Chromium to examples/report.png.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from record import ROOT
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

EXAMPLES = ROOT / "examples"
WIDTH = 110
PAGE_SIZE = "1240,1010"


def tagger(*words: str) -> str:
    """Run a command in the root of the project; return what it prints, in colours."""
    return subprocess.run(
        [Path(sys.executable).with_name("tagger"), *words],
        cwd=ROOT,
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout


def draw_terminal(command: str, printed: str) -> None:
    """Draw what a command prints."""
    console = Console(record=True, width=WIDTH + 2, file=io.StringIO())
    console.print(Text.from_ansi(f"$ {command}\n{printed}".rstrip()))
    # The font is named, not fetched: a picture in a README loads nothing.
    template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title="tagger", unique_id="terminal", code_format=template)
    (EXAMPLES / "terminal.svg").write_text(svg, encoding="utf-8")


def draw_page(page: Path) -> None:
    """Draw a page as Chromium shows it."""
    options = ["--headless", "--no-sandbox", f"--window-size={PAGE_SIZE}", "--hide-scrollbars"]
    picture = f"--screenshot={EXAMPLES / 'report.png'}"
    subprocess.run(
        ["chromium", *options, picture, page.as_uri()], check=True, stderr=subprocess.DEVNULL
    )


def main() -> None:
    pages = sorted(str(path.relative_to(ROOT)) for path in EXAMPLES.glob("*.txt"))
    with tempfile.TemporaryDirectory() as scratch:
        printed = tagger("tag", *pages, "--output", scratch).replace(scratch, "tagged")
        draw_terminal(f"tagger tag {' '.join(pages)}", printed)
        page = Path(scratch) / "report.html"
        tagger("report", scratch, "--output", str(page))
        draw_page(page)


if __name__ == "__main__":
    main()
