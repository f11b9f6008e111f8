"""Tables and other formats on the command line."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import typer
from helpers.samples import ABSTRACT, TAGGER, json_lines, ran, refused, run

from tagger.cli import app
from tagger.cli.output import read_pages
from tagger.errors import TaggerError

TABLE = f"Titel,Abstract\nOne,{ABSTRACT}\nTwo,\n"


def test_every_command_that_reads_pages_can_be_told_the_format():
    group = typer.main.get_command(app)
    for path in ("tag", "explain", "review push", "compare", "labels suggest"):
        command = group
        for name in path.split():
            command = command.commands[name]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--format", "--column"} <= options, path


def test_a_table_is_tagged_and_written_in_other_formats(saved_model, tmp_path):
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    options = ("--model", saved_model, "--column", "title=Titel")
    options += ("--write", "parquet", "--write", "excel")
    report = ran("tag", "table.csv", *options, cwd=tmp_path)
    assert report["papers"] == 2
    names = {Path(path).name for path in report["output"]}
    assert names >= {"tags.jsonl", "tags.csv", "tags.parquet", "tags.xlsx"}
    command = [TAGGER, "tag", "-", "--model", saved_model, "--output", "again"]
    with (tmp_path / "tagged" / "tags.xlsx").open("rb") as file:
        subprocess.run(command, cwd=tmp_path, stdin=file, check=True)
    assert [row["sources"] for row in json_lines(tmp_path / "again" / "tags.jsonl")] == [
        ["stdin"]
    ] * 2


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--format", "pdf"), "unknown format 'pdf'. Known: "),
        (("--write", "word", "--column", "title=Titel"), "unknown output format 'word'"),
    ],
)
def test_bad_values_are_one_line_and_exit_code_2(saved_model, tmp_path, options, reason):
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    refused(reason, "tag", "table.csv", "--model", saved_model, *options, cwd=tmp_path)
    assert not (tmp_path / "tagged").exists()


def test_a_table_that_is_read_is_not_replaced_by_results(saved_model, tmp_path):
    table = tmp_path / "tags.csv"
    table.write_text(TABLE.replace("Titel", "Title"), encoding="utf-8")
    reason = "error: tags.csv: is one of the inputs"
    refused(reason, "tag", "tags.csv", "--model", saved_model, "-o", ".", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tags.csv"]
    assert table.read_text(encoding="utf-8").startswith("Title,")


def test_json_names_the_files_that_could_not_be_read(saved_model, tmp_path):
    (tmp_path / "table.csv").write_text(TABLE.replace("Titel", "Title"), encoding="utf-8")
    command = ("explain", "One", "table.csv", "none.csv", "--model", saved_model)
    (problem,) = ran(*command, cwd=tmp_path, code=2)["files_failed"]
    assert "none.csv" in problem


def test_names_that_are_not_utf_8_are_shown_as_well_as_may_be(saved_model, tmp_path):
    *names, out = map(os.fsdecode, (b"caf\xe9.bib", b"bad\xe9.bib", b"out\xe9"))
    for name, text in zip(names, ("@misc{a, title={One}}", "@misc{a, title={One"), strict=True):
        (tmp_path / name).write_text(text)
    command = ("tag", *names, "--model", saved_model, "--output", out)
    done = run(*command, "--json", cwd=tmp_path, code=2)
    assert "error: bad\ufffd.bib:1: this entry is not valid BibTeX" in done.stderr
    report = json.loads(done.stdout)
    assert "out\ufffd/caf\ufffd.bib" in report["output"]
    assert (tmp_path / out / "caf\ufffd.bib").is_file()
    assert [row["sources"] for row in json_lines(tmp_path / out / "tags.jsonl")] == [
        ["caf\ufffd.bib"]
    ]
    done = run(*command, cwd=tmp_path)
    assert "out\ufffd/tags.jsonl" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("column", ["title", "title=", "=Titel", "  = ", "colour=Farbe"])
def test_a_column_is_given_with_its_field(column):
    with pytest.raises(TaggerError, match=r"--column title=Heading|unknown field 'colour'"):
        read_pages([Path("table.csv")], columns=[column])
