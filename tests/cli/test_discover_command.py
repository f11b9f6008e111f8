import json
import shlex
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import tagger.model.vector_cache
from tagger.cli import app
from tagger.model import TaggerModel

KITES = [f"Box kites of silk on wind {n}" for n in range(6)]


@pytest.fixture
def runner(monkeypatch, tmp_path, model, saved_model):
    """The command line in this process, with an encoder that costs nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tagger.training.pretrained, "bundled_encoder", lambda cache: model.encoder)
    others = ["Topic 0 of aaaaa nnnnnn", "Topic 7919 of bbbbb mmmmmm", "Topic 2 of ccccc llllll"]
    blocks = [f"{title}\n\n{title}. {title} again and {'silk kites ' * 12}." for title in KITES]
    blocks += [f"{title}\n\n{(title + ' ') * 5}{'. Plain ' * 9}" for title in others]
    (tmp_path / "kites.txt").write_text(
        "new\n\nSubscribe\n\nMar 12\n\n" + "\n\n".join(blocks), encoding="utf-8"
    )
    return lambda *arguments: CliRunner().invoke(
        app, ["discover", *arguments, "--model", str(saved_model)]
    )


@pytest.fixture
def no_likely_tag(monkeypatch):
    """As if no tag of any facet fitted any paper."""
    predict = TaggerModel.predict

    def doubtful(self, papers, progress=None):
        said = predict(self, papers, progress)
        return replace(said, probabilities={name: p * 0 for name, p in said.probabilities.items()})

    monkeypatch.setattr(TaggerModel, "predict", doubtful)


def test_a_group_without_a_tag_comes_with_a_command(runner, no_likely_tag):
    done = runner("kites.txt", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert list(report["facets"]) == ["field"], "every paper has a kind"
    field = report["facets"]["field"]
    assert (report["papers"], field["far_papers"]) == (9, 9)
    (found,) = field["candidates"]
    assert {paper["title"] for paper in found["papers"]} == set(KITES)
    assert found["papers"][0]["sources"] == ["kites.txt"]
    words = shlex.split(found["command"])
    assert words[:5] == ["tagger", "taxonomy", "add", f"field/{found['name']}", "--definition"]
    assert words[5].lower() == ", ".join(found["terms"]).lower() + "."
    shown = runner("kites.txt")
    assert shown.exit_code == 0
    assert found["command"] in shown.stdout
    assert "9 of 9 papers have no likely tag" in shown.stdout


def test_nothing_found_is_said_and_no_failure(runner, no_likely_tag):
    unknown = runner("kites.txt", "--facet", "colour")
    assert str(unknown.exception) == "unknown facet 'colour'. Known: kind, field"
    done = runner("kites.txt", "--min-papers", "7", "--facet", "kind")
    assert done.exit_code == 0
    assert done.stdout.startswith("kind: nothing found. 9 of 9 papers have no likely tag")
