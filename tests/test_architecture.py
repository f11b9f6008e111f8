"""The packages: what one takes from another is offered at its face; the size of their code."""

import ast
from pathlib import Path

import pytest

TAGGER = Path(__file__).parents[1] / "tagger"
FACES = {path.parent.name: path for path in TAGGER.glob("*/__init__.pyi")}
OPEN = {"_util", "errors", "cli"}
"""No package of the toolkit: what lies below all, and what lies above."""


def imports(path):
    """Yield the modules of tagger that a file imports from, as parts without ``tagger``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level:
            module = (node.module or "").split(".")
            if module[0] == "tagger" and len(module) > 1:
                yield module[1:], node.lineno


def test_a_package_is_entered_by_its_face():
    around = [
        f"{path.relative_to(TAGGER)}:{line}: {'.'.join(module)}"
        for path in TAGGER.rglob("*.py")
        for module, line in imports(path)
        # A writer of a format uses its reader.
        if len(module) > 1 and module[:2] != ["papers", "readers"]
        if module[0] not in {*OPEN, path.relative_to(TAGGER).parts[0]}
    ]
    assert not around


@pytest.mark.parametrize("package", sorted(FACES))
def test_a_face_offers_what_is_there(package):
    module = __import__(f"tagger.{package}", fromlist=["__all__"])
    assert {name for name in module.__all__ if getattr(module, name) is not None}


def functions(path):
    """Yield the functions of a file, those in classes and in other functions, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def is_command(path, function):
    """Return whether the parameters of a function are options of a command."""
    return path.parent.name == "cli" and not function.name.startswith("_")


def test_a_function_has_at_most_60_lines():
    long = [
        f"{path.relative_to(TAGGER)}: {function.name} has {lines} lines"
        for path in TAGGER.rglob("*.py")
        for function in functions(path)
        if (lines := function.end_lineno - function.lineno + 1) > 60
    ]
    assert not long


def test_a_function_has_at_most_6_positional_parameters():
    many = [
        f"{path.relative_to(TAGGER)}: {function.name} has {len(names)} positional parameters"
        for path in TAGGER.rglob("*.py")
        for function in functions(path)
        if not is_command(path, function)
        if len(names := positional(function)) > 6
    ]
    assert not many


def positional(function):
    """Return the names of the parameters that can be given by position, without that of self."""
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def test_a_file_has_at_most_400_lines():
    long = [
        f"{path.relative_to(TAGGER)} has {lines} lines"
        for path in TAGGER.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    ]
    assert not long
