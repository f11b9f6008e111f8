"""What tagger depends on: its licences, and the list of it that goes with a release."""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BINDING = re.compile(
    r"\bA?GPL|Affero|General Public|SSPL|Server Side Public|Commons Clause|\bBUSL|Business Source"
    r"|\bNC\b|Non-?Commercial|Proprietary|\bEUPL|\bOSL|CeCILL",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def licences():
    """The script that lists licences, as a module."""
    spec = importlib.util.spec_from_file_location("licences", ROOT / "scripts" / "licences.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


@pytest.mark.acceptance
def test_the_bill_of_materials_names_every_dependency(tmp_path):
    target = tmp_path / "sbom.cdx.json"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    recipe = re.search(r"^sbom:.*\n(?:\t.*\n)*?\t(.*\$\(BIN\)/.*)\n", makefile, re.MULTILINE)[1]
    command = recipe.replace("dist/sbom.cdx.json", str(target))
    command = command.replace("$(BIN)", str(Path(sys.executable).parent))
    subprocess.run(shlex.split(command), cwd=ROOT, check=True, capture_output=True)
    bill = json.loads(target.read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "tagger"

    def normal(name):
        return re.sub(r"[-_.]+", "-", name).lower()

    named = {normal(part["name"]): part for part in bill["components"]}
    wheel = [*PROJECT["dependencies"]]
    for extra in ("formats", "train", "review"):
        wheel += PROJECT["optional-dependencies"][extra]
    wanted = {normal(re.match(r"[\w.-]+", text)[0]) for text in wheel}
    # And all that these bring, each with its version.
    assert wanted | {"markupsafe", "starlette", "flatbuffers"} <= named.keys()
    assert all(part.get("version") and part.get("purl") for part in bill["components"])
    assert str(ROOT) not in target.read_text(encoding="utf-8")
