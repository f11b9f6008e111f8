"""The packages: what one takes from another is offered at the face of that package."""

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
