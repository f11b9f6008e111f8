"""Draw the picture at the head of the README: the example pages, tagged by the champion.

    python experiments/terminal_picture.py

runs ``tagger tag`` on examples/ and writes what it prints to examples/terminal.svg.
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

WIDTH = 110


def main() -> None:
    pages = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "examples").glob("*.txt"))
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [Path(sys.executable).with_name("tagger"), "tag", *pages, "--output", scratch],
            cwd=ROOT,
            env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
        printed = done.stdout.replace(scratch, "tagged")
    console = Console(record=True, width=WIDTH + 2, file=io.StringIO())
    console.print(Text.from_ansi(f"$ tagger tag {' '.join(pages)}\n{printed}".rstrip()))
    # The font is named, not fetched: a picture in a README loads nothing.
    template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title="tagger", unique_id="terminal", code_format=template)
    (ROOT / "examples" / "terminal.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
