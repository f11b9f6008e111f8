"""The documentation: its commands exist and run, and its reference is that of the code."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import lxml.html
import pytest
import typer
from helpers.samples import run_line, shell_environment
from helpers.scripts import load_script
from record import SHARED, tagger_tree

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
TEXTS = [*PAGES, ROOT / "SECURITY.md"]
FILES = DOCS / "reference" / "files.md"
COMMANDS = DOCS / "reference" / "commands.md"
FENCE = re.compile(
    r'^(?P<indent> *)```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<body>.*?)^ *```$',
    re.MULTILINE | re.DOTALL,
)


def blocks(page):
    return list(FENCE.finditer(page.read_text(encoding="utf-8")))


def shell_lines(body):
    return [line.strip() for line in body.replace("\\\n", " ").splitlines() if line.strip()]


HERE = shell_environment(PYTHONPATH=str(ROOT), COLUMNS="100", NO_MKDOCS_2_WARNING="1")


def succeed(*command):
    """Run a command in the checkout and return what it printed; it must succeed."""
    done = subprocess.run(command, cwd=ROOT, env=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def command_of(words):
    """Return the command that the words begin with, and the words after its name."""
    from tagger.cli import app

    command, rest = typer.main.get_command(app), list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"there is no command {rest[0]}"
        command = command.commands[rest.pop(0)]
    return command, rest


def tagger_lines():
    for page in PAGES:
        for block in blocks(page):
            for line in shell_lines(block["body"]) if block["language"] == "sh" else ():
                # What is piped into it, or variables, may stand before it.
                if found := re.search(r"(?:^|\| )(tagger .*)", line):
                    yield pytest.param(found[1], id=f"{page.stem}: {line}")


@pytest.mark.parametrize("line", list(tagger_lines()))
def test_every_command_exists_with_its_options(line):
    _, *words = shlex.split(line)
    command, rest = command_of(words)
    if not {"--help", "--version"} & {*rest}:
        # Parses, with types and what is required; nothing is run.
        command.make_context(command.name, rest)


@pytest.mark.parametrize("page", [page for page in PAGES if page != COMMANDS], ids=lambda p: p.stem)
def test_every_command_in_the_text_exists(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for mention in re.findall(r"`tagger ([^`]+)`", text):
        command, rest = command_of(mention.split())
        known = {"--help", *(option for one in command.params for option in one.opts)}
        assert {word for word in rest if word.startswith("--")} <= known, mention


def test_the_reference_of_commands_is_that_of_the_code(tmp_path):
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
    (made,) = re.findall(rf"\$\(BIN\)/(typer .*) --output {COMMANDS.relative_to(ROOT)}", recipe)
    succeed(*shlex.split(made), "--output", tmp_path / "commands.md")
    fresh = (tmp_path / "commands.md").read_text(encoding="utf-8")
    assert COMMANDS.read_text(encoding="utf-8") == fresh, "make docs writes it anew"


def test_every_field_is_described():
    from tagger.labels import Label, Origin, Prediction
    from tagger.taxonomy import Facet, Tag, Taxonomy

    text = FILES.read_text(encoding="utf-8")
    for model in (Label, Origin, Prediction, Facet, Tag, Taxonomy):
        missing = [name for name in model.model_fields if f"`{name}`" not in text]
        assert not missing, f"{model.__name__}: {missing}"


def test_every_environment_variable_is_described():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tagger").rglob("*.py"))
    # Those that the program reads: in options, and in constants that are named for it.
    own = set(re.findall(r'(?:envvar=|_VARIABLE = )"([A-Z_]+)"', code))
    assert {"TAGGER_CACHE", "MLFLOW_TRACKING_URI"} <= own
    described = FILES.read_text(encoding="utf-8")
    assert [name for name in sorted(own) if f"`{name}`" not in described] == []


def test_the_examples_of_files_are_what_the_program_reads_and_writes():
    from tagger.labels import Label
    from tagger.papers import COLUMNS, Paper
    from tagger.taxonomy import TaxonomyDocument

    given = {block["title"]: block["body"] for block in blocks(FILES) if block["title"]}
    taxonomy = TaxonomyDocument(given["taxonomy.yaml"], Path("taxonomy.yaml")).taxonomy
    for name in ("seed.jsonl", "corrections.jsonl"):
        label = Label.model_validate_json(given[name])
        taxonomy.check_tags(label.tags)
        assert label.paper.id in (json.loads(given[name]).get("id"), Paper(label.title, "").id)
    row = json.loads(given["tags.jsonl"])
    assert [*row] == [*COLUMNS]
    assert row["review"].keys() == {"facets", "reason"}


def test_the_python_examples_run():
    for block in blocks(DOCS / "reference" / "python.md"):
        assert "contribution" in succeed(sys.executable, "-c", block["body"])


def anchor(heading):
    """Return the anchor of a heading, as GitHub and MkDocs make it."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def documented():
    """Yield each package of the Python reference, or single name, and the names of it."""
    text = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    blocks = r"^::: (\S+)\n(?:    options:\n      members:\n)?((?:        - \w+\n)*)"
    for package, members in re.findall(blocks, text, re.MULTILINE):
        yield package, re.findall(r"\w+", members)


def test_the_python_reference_names_what_the_packages_offer():
    for package, members in documented():
        if members:
            module = importlib.import_module(package)
            assert [name for name in members if not hasattr(module, name)] == [], package


@pytest.mark.parametrize("page", TEXTS, ids=lambda p: p.stem)
def test_every_file_and_heading_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    for target, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", text):
        file = (page.parent / target) if target else page
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in map(anchor, headings), f"{target}#{heading}"
    for path in re.findall(r"`((?:tagger|tests|experiments|scripts|docs)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", ["results", "architecture"])
def test_what_a_script_makes_is_up_to_date(name):
    if name == "results" and not (tagger_tree() and SHARED.exists()):
        pytest.skip("which tables are of this state is known from git")
    for target, content in load_script(name).made().items():
        written = target.read_text(encoding="utf-8")
        assert written == content, f"python scripts/{name}.py writes it anew"


def test_sentences_quote_the_figures_of_the_results():
    assert load_script("results").missing_quotes() == []


def test_the_page_on_the_architecture_has_every_package_and_what_it_offers():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]+\|([^|]*)\|$", text, re.MULTILINE))
    packages = {path.parent.name for path in (ROOT / "tagger").glob("*/__init__.py")}
    assert rows.keys() == packages | {"errors"}
    for package, offered in rows.items():
        module = importlib.import_module(f"tagger.{package}")
        missing = [name for name in re.findall(r"`(\w+)`", offered) if not hasattr(module, name)]
        assert not missing, package


@pytest.mark.acceptance
def test_the_steps_of_the_tutorial_work_from_nothing(tmp_path):
    page = DOCS / "tutorial.md"
    said = {}
    for block in blocks(page):
        if block["title"]:
            file = tmp_path / block["title"]
            file.parent.mkdir(exist_ok=True)
            file.write_text(block["body"], encoding="utf-8")
            continue
        assert block["language"] == "sh", block["language"]
        for line in shell_lines(block["body"]):
            done = run_line(line, tmp_path, HERE)
            assert done.returncode == 0, f"{line}: {done.stdout}\n{done.stderr}"
            said[line] = done.stdout + done.stderr
    trained = [text for line, text in said.items() if line.startswith("tagger train")]
    assert "tagger/2, cross-validated on 22 labels" in trained[-1]
    assert "tagger/1 is champion again" in said['tagger rollback --reason "a try"']
    assert "22 (0)" in said["tagger history"]
    assert "teaching" in said["tagger taxonomy diff champion --labels review"]
    assert "teaching" not in (tmp_path / "review" / "seed.jsonl").read_text(encoding="utf-8")
    assert "Lantern" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.acceptance
def test_the_site_builds_strictly_and_fetches_nothing_from_elsewhere(tmp_path):
    site = tmp_path / "site"
    succeed(sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site)
    pages = sorted(site.rglob("*.html"))
    assert {"tutorial.html", "commands.html", "python.html", "results.html"} <= {
        p.name for p in pages
    }
    for page in pages:
        tree = lxml.html.fromstring(page.read_bytes())
        # What a browser fetches by itself when it opens a page.
        for address in tree.xpath("//link/@href | //@src | //@srcset | //@poster | //@data"):
            assert not re.match(r"(?:https?:)?//", address), f"{page.name}: {address}"
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\(\s*[\"']?(?:https?:)?//", text), sheet.name
    python = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for package, members in documented():
        for name in [package, *(f"{package}.{name}" for name in members)]:
            assert f'id="{name}"' in python, name
    assert ":func:" not in python
