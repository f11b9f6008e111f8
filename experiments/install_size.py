"""How much room does an installation take?

The light install of tagger, which tags, explains and reports, and SetFit, each in a virtual
environment of its own, by pip and constraints.txt. What the empty environment takes is not counted,
nor is a model, which tagger brings and SetFit does not.

    python experiments/install_size.py  # writes experiments/results/install_size.*
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from record import ROOT, read_options, write_result

MODEL = "default_model"
INSTALLATIONS = {
    "tagger, light": [str(ROOT)],
    "SetFit": ["setfit", "torch"],
}


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder, but for the model of tagger."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != MODEL]
    return sum(path.lstat().st_size for path in files)


def measure(requirements: list[str]) -> dict[str, float]:
    """Install packages; return the megabytes that they take, and how many they are."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        empty = size(folder)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        quietly = ["install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
        subprocess.run([*pip, *quietly, *requirements], check=True)
        listed = subprocess.run(
            [*pip, "list", "--format", "json"], check=True, capture_output=True, text=True
        )
        packages = {entry["name"] for entry in json.loads(listed.stdout)} - {"pip", "setuptools"}
        return {"megabytes": (size(folder) - empty) / 1e6, "packages": len(packages)}


def main() -> None:
    options = read_options(__doc__, in_process=True)
    # SetFit and PyTorch are a download of more than a gigabyte.
    names = list(INSTALLATIONS)[: 1 if options.quick else None]
    found = {name: measure(INSTALLATIONS[name]) for name in names}
    lines = [
        f"| {name} | {row['packages']} | {row['megabytes']:,.0f} MB |"
        for name, row in found.items()
    ]
    page = ["| | packages | room |", "|---|---|---|", *lines, "", "Without a model."]
    write_result(options, "install_size", found, "\n".join(page))


if __name__ == "__main__":
    main()
