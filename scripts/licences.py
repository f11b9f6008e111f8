"""Write docs/licences.md: what tagger depends on, and under which licences.

    make licences

Licences are those that the installed packages state of themselves (PEP 639, the trove classifiers,
or the field ``License``). A package is listed under the first extra that brings it.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "licences.md"
PARTS = {
    "The light install": None,
    "What `[formats]` adds": "formats",
    "What `[train]` adds": "train",
    "What `[review]` adds": "review",
    "What `[scale]` adds": "scale",
}
NOT_STATED = "not stated; see its files"
_INTRODUCTION = """\
# Licences

tagger is under the MIT licence and contains no code of others. The encoder of the model that ships
with it is all-MiniLM-L6-v2, fine-tuned and rounded to 7 bits, under the Apache License 2.0
(`LICENSE-encoder.txt`). tagger needs the packages below, each with its own licence. `make licences`
writes this list from the metadata of the packages, installed on Linux in the versions of
`constraints.txt`. A test checks that every package of the light install states a licence, and that
none is a copyleft licence for the whole program (GPL, AGPL, SSPL and the like).
"""


def closure(requirements: Iterable[str]) -> dict[str, Distribution]:
    """Return all that requirements bring, installed here, by normal name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen or not _applies(wanted, ()):
            continue
        seen.add((name, extras))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        needed = map(Requirement, found[name].requires or ())
        waiting += [_without_marker(one) for one in needed if _applies(one, extras)]
    return found


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _without_marker(requirement: Requirement) -> Requirement:
    requirement.marker = None
    return requirement


def licence_of(package: Distribution) -> str:
    """Return the licence that a package states, in one line."""
    metadata = package.metadata
    stated = metadata.json.get("license_expression")
    if stated:
        return str(stated)
    classifiers = [
        text.rpartition(" :: ")[2].removesuffix(" License")
        for text in metadata.get_all("Classifier") or []
        if text.startswith("License :: ") and text != "License :: OSI Approved"
    ]
    if classifiers:
        return ", ".join(classifiers)
    lines = [
        line.strip()
        for line in str(metadata.json.get("license") or "").splitlines()
        if line.strip()
    ]
    return lines[0] if lines else NOT_STATED


def page() -> str:
    """Return the page."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known: dict[str, Distribution] = {}
    lines = [_INTRODUCTION]
    for title, extra in PARTS.items():
        wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
        new = {name: one for name, one in closure(wanted).items() if name not in known}
        known |= new
        lines += [f"## {title}\n", "| package | licence |", "|---|---|"]
        lines += [f"| {name} | {licence_of(one)} |" for name, one in sorted(new.items())]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=TARGET)
    parser.parse_args().output.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
