import json
import re
from pathlib import Path

import pytest
from helpers.samples import Terminal, page, ran, refused, run

from tagger.taxonomy import load_taxonomy

SHIPPED_FOLDER = Path(__file__).parents[2] / "tagger" / "default_model"


def test_a_template_makes_a_folder_and_says_what_comes_next(tmp_path):
    done = run("init", "my-review", "--template", "medicine", cwd=tmp_path, code=0)
    assert load_taxonomy(tmp_path / "my-review" / "taxonomy.yaml").name == "my-review"
    assert [path.name for path in (tmp_path / "my-review").iterdir()] == ["taxonomy.yaml"]
    commands = re.findall(r"^  (tagger [a-z ]+)", done.stdout, re.MULTILINE)
    assert commands == ["tagger tag page", "tagger review here page", "tagger train "]
    assert "--labels my-review --model my-review" in done.stdout
    # The usual folder needs no naming.
    report = ran("init", "labels", "-t", "nlp", cwd=tmp_path)
    assert report["version"] == load_taxonomy(tmp_path / "labels" / "taxonomy.yaml").version
    assert report["facets"]["contribution"][0] == "survey"
    assert report["next"][2] == "tagger train"


def test_the_shipped_model_is_not_offered_for_a_tag_that_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr("tagger.registry.resolve._SHIPPED_FOLDER", SHIPPED_FOLDER)
    for tag, own in (((), False), (("--tag", "domain/chess=Chess."), True)):
        report = ran("init", f"own{len(tag)}", "-t", "shipped", *tag, cwd=tmp_path)
        assert ("--model own" in report["next"][0]) is own


def test_a_taxonomy_that_is_there_stays(tmp_path):
    (tmp_path / "taxonomy.yaml").write_text("mine", encoding="utf-8")
    refused("already exists", "init", ".", "--template", "nlp", cwd=tmp_path)
    assert (tmp_path / "taxonomy.yaml").read_text(encoding="utf-8") == "mine"


def test_facets_may_come_from_options(tmp_path):
    options = ("--facet", "kind=How it was done.", "--exclusive", "kind")
    options += ("--tag", "kind/trial=Drawn by lot.", "--tag", "kind/cohort=Followed: a = b.")
    more = ("--template", "medicine", "--tag", "topic/migraine=Headache.")
    run("init", "mine", *more, *options, cwd=tmp_path, code=0)
    found = load_taxonomy(tmp_path / "mine" / "taxonomy.yaml")
    assert [facet.name for facet in found.facets] == ["design", "population", "topic", "kind"]
    assert found.facet("topic").tag_names[-1] == "migraine"
    facet = found.facet("kind")
    assert facet.exclusive
    assert facet.descriptions == ("trial. Drawn by lot.", "cohort. Followed: a = b.")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "no template and no facets given"),
        (("--facet", "kind"), "--facet kind: the definition is missing. Write NAME=DEFINITION"),
        (("--facet", "a=1", "--facet", "a=2"), "the same facet is given twice"),
        (("--facet", "A B=1"), "'A B' is not a valid name"),
        (("--tag", "a/b=x", "--tag", "a/b=y", "--facet", "a=1"), "already has a tag 'b'"),
        (("--exclusive", "kind"), "--exclusive kind: no --facet has this name"),
        (("--tag", "trial=Lots."), "--tag trial=Lots.: the facet is missing"),
        (("--tag", "kind/trial=Lots."), "unknown facet 'kind' of the tag 'trial'"),
        (
            ("--template", "law"),
            "Known: medicine, nlp, software, empty, shipped",
        ),
        (("--template", "nlp", "--digest", "none.txt"), "none.txt: no such file"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(tmp_path, options, reason):
    refused(reason, "init", "mine", *options, cwd=tmp_path)
    assert not (tmp_path / "mine").exists()


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """The command in a terminal where somebody types."""

    def call(*answers):
        monkeypatch.setattr("sys.stdin", Terminal("".join(f"{answer}\n" for answer in answers)))
        return run("init", "asked", cwd=tmp_path)

    return call


def test_in_a_terminal_it_asks_until_an_empty_answer(tmp_path, asked):
    answers = ["law", "", "Big Facet", "Which?", "n", "kind", "Which?", "y", ""]
    answers += ["trial", "Drawn by lot.", "", "trial", "Again.", "cohort", "Followed.", "", ""]
    done = asked(*answers)
    assert done.returncode == 0, done.stderr
    for mistake in (
        "unknown template 'law'",
        "'Big Facet' is not a valid name",
        "already has a tag 'trial'",
        "'kind' has too few tags (0). Add tags until it has at least 2",
        "'kind' has too few tags (1). Add tags until it has at least 2",
    ):
        assert mistake in done.stderr
    assert "Written: asked/taxonomy.yaml, with kind (2 tags)." in done.stdout
    (facet,) = load_taxonomy(tmp_path / "asked" / "taxonomy.yaml").facets
    assert facet.exclusive
    assert facet.descriptions == ("trial. Drawn by lot.", "cohort. Followed.")


def test_an_end_of_input_leaves_nothing(tmp_path, asked):
    assert asked("", "kind").returncode == 130
    assert not (tmp_path / "asked").exists()


@pytest.mark.real_encoder
def test_definitions_suggest_papers_and_tag_them(tmp_path):
    titles = ("A drug trial", "Grammar of verbs", "Whales at sea")
    (tmp_path / "page.txt").write_text(page(*titles), encoding="utf-8")
    options = ("--template", "medicine", "--digest", "page.txt", "--suggest", 2, "--json")
    report = json.loads(run("init", "mine", *options, cwd=tmp_path).stdout)
    assert len(report["papers"]) == 2
    assert {paper["title"] for paper in report["papers"]} <= set(titles)
    assert report["next"][0] == "tagger tag page.txt --model mine"
    done = run("tag", "page.txt", "--model", "mine", "--json", cwd=tmp_path, code=0)
    assert "warning: mine: tagging zero-shot" in done.stderr
    report = json.loads(done.stdout)
    assert report["model"].startswith("local/definitions-")
    assert (report["papers"], report["to_review"], report["drift"]) == (3, 3, None)
    assert not (tmp_path / "mlruns").exists()
    options = ("--model", "mine", "--min-papers", 2, "--json")
    found = run("discover", "page.txt", *options, cwd=tmp_path, code=0)
    assert set(json.loads(found.stdout)["facets"]) == {"population", "topic"}
