"""How much room does an installation take?

The light install of tagger, which tags, explains and reports, and SetFit, each in a virtual
environment of its own, by pip and constraints.txt. What the empty environment takes is not counted,
nor is a model: tagger's has 24 MB.

    python experiments/install_size.py  # writes experiments/results/install_size.*
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from gold import RESULTS, ROOT, machine

INSTALLATIONS = {
    "tagger, light": [str(ROOT)],
    "SetFit": ["setfit", "torch"],
}


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def measure(requirements: list[str]) -> dict[str, float]:
    """Install packages; return the megabytes that they take, and how many they are."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "venv"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        empty = size(folder)
        pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
        quietly = ["install", "--quiet", "--constraint", ROOT / "constraints.txt"]
        subprocess.run([*pip, *quietly, *requirements], check=True)
        listed = subprocess.run(
            [*pip, "list", "--format", "json"], check=True, capture_output=True, text=True
        )
        packages = {entry["name"] for entry in json.loads(listed.stdout)} - {"pip", "setuptools"}
        return {"megabytes": (size(folder) - empty) / 2**20, "packages": len(packages)}


def main() -> None:
    found = {name: measure(requirements) for name, requirements in INSTALLATIONS.items()}
    table = "\n".join(
        [
            "| | packages | room |",
            "|---|---|---|",
            *(
                f"| {name} | {row['packages']} | {row['megabytes']:,.0f} MB |"
                for name, row in found.items()
            ),
            "",
            f"Without a model; one run on {machine()}.",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "install_size.md").write_text(table + "\n", encoding="utf-8")
    (RESULTS / "install_size.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
