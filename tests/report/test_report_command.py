import json
import re
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from helpers.samples import page, ran, run
from helpers.tiny_report import review, tag_row

from tagger.evaluation import SHOWN_METRICS
from tagger.labels import Origin
from tagger.labels.store import CORRECTIONS_FILE
from tagger.registry import find_shipped_model


@pytest.fixture
def root(tmp_path, label_folder):
    """A workspace with labels and results, and without a model."""
    (tmp_path / "tagged").mkdir()
    rows = [tag_row("First paper", sure=0.5), tag_row("Second paper")]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "tagged" / "tags.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "page.txt").write_text(page("First paper", "Second paper"), encoding="utf-8")
    return tmp_path


def test_a_report_without_a_model_says_what_is_left_out(root):
    answer = review("First paper", "study", text="").model_dump_json(exclude_defaults=True)
    (root / "labels" / CORRECTIONS_FILE).write_text(answer + "\n", encoding="utf-8")
    done = run("report", cwd=root, code=0)
    for expected in (
        "Left out: figures of tagger/1 (there is no MLflow store here)",
        "Left out: abstracts (those of 2 of 2 papers",
        "2 papers, 0 to review, 1 reviewed, 1 corrected",
    ):
        assert expected in done.stdout
    content = (root / "report.html").read_text(encoding="utf-8")
    assert "there is no MLflow store here" in content
    assert not (root / "mlruns").exists(), "a report makes no store"


def test_the_shipped_model_shows_the_figures_that_it_carries(root, monkeypatch):
    shipped = root / "shipped"
    shipped.mkdir()
    (shipped / "model.json").write_text("{}", encoding="utf-8")
    row = {name: [0.8125, 0.75, 0.9] for name in SHOWN_METRICS}
    figures = {"kind": {"papers": 40, **row}}
    record = {"model": sha256(b"{}").hexdigest(), "labels": 70, "figures": figures}
    (shipped / "training.json").write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr("tagger.registry.resolve._SHIPPED_FOLDER", shipped)
    name = find_shipped_model().name
    tags = json.dumps(tag_row("First paper", model=name))
    (root / "tagged" / "tags.jsonl").write_text(tags + "\n", encoding="utf-8")
    assert ran("report", cwd=root)["figures_of"] == name
    content = (root / "report.html").read_text(encoding="utf-8")
    for expected in ("70 labels", "40 published papers sampled at random", "cross-validated"):
        assert expected in content
    assert content.count('0.812 <span class="soft">(0.75–0.90)') == len(SHOWN_METRICS)
    # It is not kept how single tags fared.
    assert "F1 of each tag" not in content


def test_scripts_get_json_and_abstracts_come_from_pages(root):
    (root / "labels").rename(root / "elsewhere")
    pages = ("-d", "page.txt", "-d", "no.txt")
    done = run("report", "tagged", "-o", "out/r.html", *pages, "--json", cwd=root, code=2)
    assert "no.txt: no such file" in done.stderr
    found = json.loads(done.stdout)
    assert (found["output"], found["abstracts"]) == ("out/r.html", 2)
    assert found["flow"] | {"papers": 2, "waiting": 1, "reviewed": 0} == found["flow"]
    parts = [part["part"] for part in found["left_out"]]
    assert parts == ["reviews", "figures of tagger/1"]
    assert len(found["files_failed"]) == 1
    assert "On first paper:" in (root / "out" / "r.html").read_text(encoding="utf-8")


def test_evidence_comes_from_the_model_named(root, saved_model):
    options = ("--evidence", "--digest", "page.txt")
    assert ran("report", *options, "--model", saved_model, cwd=root)["explained"] == 2
    assert "influential sentences, by local/" in (root / "report.html").read_text(encoding="utf-8")
    # A model without a name needs its folder.
    row = tag_row("First paper", model="local/definitions-0123")
    (root / "tagged" / "tags.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    done = run("report", *options, cwd=root, code=2)
    assert "--model FOLDER" in done.stderr


def test_a_zero_shot_model_gets_the_pages_to_explain(root, monkeypatch, model):
    shown = []

    def load(name, papers, progress):
        shown.extend(paper.title for paper in papers)
        return model

    monkeypatch.setattr("tagger.report.build.load_model_by_name", load)
    run("report", "--evidence", "--digest", "page.txt", "--model", "labels", cwd=root, code=0)
    assert shown == ["First paper", "Second paper"]


def test_abstracts_come_from_tables_whose_columns_are_named(root):
    table = "Heading,Text,Link\nFirst paper,On the first.,10.1234/a\n"
    (root / "table.csv").write_text(table, encoding="utf-8")
    columns = ["--column", "title=Heading", "--column", "abstract=Text", "--format", "csv"]
    run("report", "--digest", "table.csv", *columns, cwd=root, code=0)
    assert "On the first." in (root / "report.html").read_text(encoding="utf-8")


def test_a_task_is_linked_without_a_password_if_its_server_is_certain(root):
    now = datetime.now(UTC)
    projects = ["3/2026-01-01", "4/2026-01-01", "3/2026-02-02"]
    titles = ("First paper", "Second paper", "Third paper")
    for count, linked in ((2, [3, 4]), (3, [4])):
        answers = [
            review(title, "study").model_copy(
                update={"origin": Origin(annotation=title, updated=now, project=project, task=7)}
            )
            for title, project in zip(titles[:count], projects, strict=False)
        ]
        text = "".join(one.model_dump_json(exclude_defaults=True) + "\n" for one in answers)
        (root / "labels" / CORRECTIONS_FILE).write_text(text, encoding="utf-8")
        run("report", "--label-studio", "http://me:secret@127.0.0.1:8080/", cwd=root, code=0)
        content = (root / "report.html").read_text(encoding="utf-8")
        links = re.findall(r'href="(http[^"]*)"', content)
        assert links == [f"http://127.0.0.1:8080/projects/{n}/data?task=7" for n in linked]
        assert "secret" not in content


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("nowhere",), "nowhere: no such result folder. Name a folder that 'tagger tag' wrote to"),
        (("tagged", "--labels", "nowhere"), "nowhere: no such label folder"),
        (("tagged", "--evidence"), "--evidence needs the abstracts"),
        (("tagged", "--evidence", "--no-abstracts"), "that --no-abstracts leaves out"),
        (("tagged", "--model", "7"), "there is no MLflow store here"),
        (("tagged", "--label-studio", "javascript:alert(1)"), "is not the address of a server"),
        (("tagged", "--output", "tagged/tags.jsonl"), "tags.jsonl: a report is an HTML file"),
        (("tagged", "--output", "page.txt/r.html"), "r.html: cannot be written"),
    ],
)
def test_invalid_arguments_of_a_report_are_errors(root, command, reason):
    done = run("report", *command, cwd=root, code=2)
    assert reason in done.stderr
    assert not (root / "report.html").exists()


def test_weeks_of_a_result_folder_are_refused(root):
    done = run("report", "tagged", "--weeks", 2, cwd=root, code=2)
    assert "error: tagged: --weeks needs a library, not a result folder" in done.stderr
    assert not (root / "report.html").exists()
