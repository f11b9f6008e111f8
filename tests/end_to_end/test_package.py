"""The wheel: what is in it, and that the light install, without any extra, tags and reports."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from helpers.samples import page
from helpers.tiny_model import save_tiny_model

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "tagger" / "default_model"
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(not SHIPPED.is_dir(), reason="no model ships: make model"),
]

HEAVY = ("torch", "sklearn", "mlflow", "transformers", "pandas", "lxml", "label_studio_sdk")


def run(*command, cwd, codes=(0,)):
    """Run a command that sees nothing of this environment but the settings of pip."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MLFLOW_TRACKING_URI")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode in codes, f"{command}: {done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a source distribution, and of the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def light(tmp_path_factory, built):
    """The programs of an environment with the wheel and its dependencies, and no extra."""
    folder = tmp_path_factory.mktemp("light")
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    [wheel] = built.glob("*.whl")
    pip = (programs / "python", "-m", "pip", "install", "--quiet")
    run(*pip, "--constraint", ROOT / "constraints.txt", wheel, cwd=folder)
    return programs


@pytest.fixture
def place(tmp_path, taxonomy):
    """A folder with a model and a page."""
    save_tiny_model(tmp_path / "model", taxonomy)
    (tmp_path / "page.txt").write_text(page("First paper", "Second paper"), encoding="utf-8")
    return tmp_path


def test_the_wheel_holds_what_the_package_reads_and_no_tests(built):
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    packed = {name for name in names if ".dist-info/" not in name}
    kinds = (".py", ".pyi", ".j2", ".yaml", ".typed")
    files = [path for path in (ROOT / "tagger").rglob("*") if path.suffix in kinds]
    there = {path.relative_to(ROOT).as_posix() for path in [*files, *SHIPPED.iterdir()]}
    assert packed == there
    assert wheel.stat().st_size < 25e6
    assert {"tagger/py.typed", "tagger/taxonomy/templates/medicine.yaml"} <= packed
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_source_distribution_holds_what_a_reader_needs(built):
    [archive] = built.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    wanted = {"README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "labels/taxonomy.yaml"}
    assert wanted <= names
    assert not [name for name in names if name.startswith(("tests/", "experiments/", "mlruns/"))]


def test_the_light_install_tags_by_the_model_that_ships_with_it(light, place):
    done = run(light / "tagger", "tag", "page.txt", cwd=place)
    assert "there is no champion here" in done.stderr
    assert "tagged by local/shipped-" in done.stdout
    # The encoder is read when the first text has no vector in the cache.
    [encoder] = light.parent.glob("lib/python*/site-packages/tagger/default_model/encoder.onnx")
    content = encoder.read_bytes()
    encoder.write_bytes(content[:-1])
    try:
        (place / "new.txt").write_text(page("Third paper"), encoding="utf-8")
        broken = run(light / "tagger", "tag", "new.txt", "-o", "new", cwd=place, codes=(2,))
    finally:
        encoder.write_bytes(content)
    assert "encoder.onnx: does not match the hash" in broken.stderr


def test_the_light_install_tags_and_reports_without_a_training_library(light, place):
    from tagger import __version__

    tagger = light / "tagger"
    code = f"import importlib.util as u; print([name for name in {HEAVY} if u.find_spec(name)])"
    assert run(light / "python", "-c", code, cwd=place).stdout == "[]\n"
    assert "tagger tag" in run(tagger, "--help", cwd=place).stdout
    assert run(tagger, "--version", cwd=place).stdout == f"tagger {__version__}\n"
    tagged = run(tagger, "tag", "page.txt", "--model", "model", "--json", cwd=place)
    assert json.loads(tagged.stdout)["papers"] == 2
    run(tagger, "report", "tagged", "--output", "report.html", cwd=place)
    assert "Second paper" in (place / "report.html").read_text(encoding="utf-8")
    run(tagger, "explain", "First paper", "page.txt", "--model", "model", cwd=place)
    run(tagger, "init", "review", "--template", "medicine", cwd=place)
    run(tagger, "taxonomy", "check", "--labels", "review", cwd=place)
    code = "from tagger import Tagger, read_papers\n"
    code += "print(*Tagger.load('model').predict(read_papers('page.txt'))['kind'])\n"
    shown = run(light / "python", "-c", code, cwd=place).stdout.split()
    assert len(shown) == 2
    assert set(shown) <= {"survey", "method", "study"}


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("tag", "library.bib", "--model", "model"), "formats"),
        (("tag", "page.html", "--model", "model"), "formats"),
        (("tag", "page.txt", "--model", "model", "--write", "excel"), "formats"),
        (("tag", "page.csv", "--model", "model", "--engine", "ray"), "scale"),
        (("tag", "page.txt", "--model", "1"), "train"),
        (("tag", "page.txt", "--model", "review"), "train"),
        (("train", "--labels", "review"), "train"),
        (("review", "status", "--labels", "review"), "review"),
    ],
)
def test_what_the_light_install_cannot_do_names_the_extra(light, place, arguments, extra):
    (place / "library.bib").write_text("@article{a, title={A title}}\n", encoding="utf-8")
    (place / "page.csv").write_text("title\nA title\n", encoding="utf-8")
    (place / "page.html").write_text("<html><h2>A title</h2></html>", encoding="utf-8")
    run(light / "tagger", "init", "review", "--template", "medicine", cwd=place)
    done = run(light / "tagger", *arguments, cwd=place, codes=(2,))
    assert f"pip install 'tagger[{extra}]'" in done.stderr
