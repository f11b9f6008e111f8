"""Find classes that this package and others register under an entry point group."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TypeVar

from tagger.errors import TaggerError

_T = TypeVar("_T")


def plugin_names(group: str) -> list[str]:
    """Return the names that are registered in a group, sorted."""
    return sorted({point.name for point in entry_points(group=group)})


def load_plugin(group: str, name: str, base: type[_T]) -> _T:
    """Return an instance of the class that a group has under a name, with its default parameters.

    Raises a TaggerError if the name is unknown, its package fails to load, or its class does not
    derive from ``base``, by whose name errors call it.
    """
    kind = base.__name__.lower()
    for point in entry_points(group=group, name=name):
        try:
            plugin = point.load()()
        except Exception as error:  # whatever the code of another package raises
            raise TaggerError(
                f"the {kind} '{name}' cannot be loaded ({error})",
                hint=f"It is defined by {point.value}",
            ) from error
        if not isinstance(plugin, base):
            raise TaggerError(
                f"'{name}' is not a {kind}", hint=f"{point.value} must derive from {base.__name__}"
            )
        return plugin
    raise TaggerError(
        f"there is no {kind} '{name}'", hint=f"Known: {', '.join(plugin_names(group))}"
    )
