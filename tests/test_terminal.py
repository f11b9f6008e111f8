"""What others wrote is shown in a terminal, and not obeyed."""

import ast
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

from tagger.cli import app
from tagger.cli.console import Console
from tagger.cli.output import complain, print_json
from tagger.errors import TaggerError
from tagger.text_safety import json_printable, printable

CLI = Path(__file__).parents[1] / "tagger" / "cli"
HOSTILE = "\x1b]52;c;cm0=\x07\x1b]8;;http://x\x1b\\L\x1b[2J\x9b31m\u202ekcab\ud800\U000e0041\r\x7f"
OBEYED = {chr(code) for code in [*range(9), *range(11, 32), *range(127, 160)]}
OBEYED |= set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ud800")


def test_what_a_terminal_obeys_is_written_out():
    assert printable("a\tb\nc é 漢 👩‍🔬") == "a\tb\nc é 漢 👩‍🔬"
    assert printable("\x1b[31m\u202e\ud800\U000e0041") == r"\x1b[31m\u202e\ud800\U000e0041"
    assert not OBEYED & set(printable(HOSTILE))


@given(st.text(st.characters() | st.sampled_from(HOSTILE)))
def test_json_says_the_same_without_anything_to_obey(text):
    written = json_printable(json.dumps({"title": text}, ensure_ascii=False))
    assert not OBEYED & set(written)
    written.encode()
    # As halves of a pair, which Python keeps apart where they were apart.
    again = json.loads(written)["title"]
    assert again.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


def test_tables_show_text_as_text():
    file = io.StringIO()
    console = Console(file=file, highlight=False, width=200, force_terminal=True)
    table = Table(title=HOSTILE)
    table.add_column("[bold]facet[/bold]")
    table.add_row(Text(HOSTILE, "bold"))
    table.add_row(f"[link=http://x]{HOSTILE}")
    console.print(table)
    console.print(HOSTILE, ":smile: [red]")
    shown = file.getvalue()
    # Its own codes for bold and for what is not are all that is left.
    for code in ("\x1b[1m", "\x1b[0m", "\x1b[3m", "\x1b[1;3m"):
        shown = shown.replace(code, "")
    assert not OBEYED & set(shown)
    assert "[link=http://x]" in shown
    assert ":smile: [red]" in shown


def test_an_error_is_one_line_to_be_read(capsys):
    complain(TaggerError(f"no '{HOSTILE}'\nerror: forged", path="a\x1b[2Jb"))
    print_json({"title": HOSTILE})
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert not OBEYED & set(printed.err + printed.out)


def calls():
    for path in sorted(CLI.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path.name, ast.unparse(node.func)
            elif isinstance(node, ast.ImportFrom) and node.module == "rich.console":
                yield path.name, "rich.console"


def test_nothing_is_printed_past_them():
    found = list(calls())
    assert ("review.py", "echo") in found
    other = {"print", "typer.echo", "typer.secho", "click.echo", "rich.console", "sys.stdout.write"}
    assert {(file, call) for file, call in found if call in other} == {
        ("terminal.py", "typer.echo"),
        ("output.py", "typer.echo"),
    }


@pytest.fixture
def labels(label_folder):
    """A label folder with a title and an annotator that a terminal would obey."""
    line = {
        "title": HOSTILE.replace("\ud800", ""),
        "text": "",
        "tags": {"kind": ["method"]},
        "annotator": "ann",
        "time": "2026-01-01T00:00:00Z",
        "source": "review",
    }
    other = {**line, "tags": {"kind": ["study"]}, "annotator": "\x1b]0;ben\x07"}
    text = f"{json.dumps(line)}\n{json.dumps(other)}\n"
    (label_folder / "corrections.jsonl").write_text(text, encoding="utf-8")
    return label_folder


def test_commands_show_titles_and_names_as_text(labels, saved_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = {"title": HOSTILE, "abstract": "We look. And see.", "doi": "10.1234/\x1b[2J"}
    Path("p.json").write_text(json.dumps(row), encoding="utf-8")
    Path("bad\x1b[2J.json").write_text('{"title": "\x1b]0;x\x07"', encoding="utf-8")
    commands = [
        ["tag", "p.json", "bad\x1b[2J.json", "--model", str(saved_model)],
        ["tag", "p.json", "--model", str(saved_model), "--json"],
        ["explain", "kcab", "p.json", "--model", str(saved_model)],
        ["explain", "\x1b[2J nothing", "p.json", "--model", str(saved_model)],
        ["taxonomy", "check", "--labels", str(labels)],
        ["taxonomy", "show", "--labels", str(labels)],
        ["report", "tagged", "--labels", str(labels)],
    ]
    for command in commands:
        done = CliRunner().invoke(app, command)
        shown = done.output + str(getattr(done.exception, "problem", ""))
        assert isinstance(done.exception, SystemExit | TaggerError | None), command
        if not isinstance(done.exception, TaggerError):
            assert not OBEYED & set(done.output), command
        assert shown, command
