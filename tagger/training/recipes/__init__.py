"""Recipes: ways to train a model, which are calibrated, recorded, served and compared alike.

A recipe is a subclass of :class:`~tagger.training.recipes.base.Recipe`, registered in the entry
point group ``tagger.recipes``. Other packages can add their own.
"""

from __future__ import annotations

from tagger._util.plugins import load_plugin
from tagger.taxonomy import Taxonomy
from tagger.training.recipes.base import Recipe
from tagger.training.settings import TrainingSettings

ENTRY_POINTS = "tagger.recipes"


def find_recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises a TaggerError if the name is unknown or the package of the recipe fails to load.
    """
    return load_plugin(ENTRY_POINTS, name, Recipe)  # type: ignore[type-abstract]


def load_recipe(settings: TrainingSettings, taxonomy: Taxonomy) -> Recipe:
    """Return the recipe of settings, ready to train; raises a TaggerError also if it cannot."""
    recipe = find_recipe(settings.recipe)
    recipe.prepare(settings, taxonomy)
    return recipe


def epochs_of(name: str) -> int:
    """Return the default number of epochs of a recipe; raises a TaggerError if it is unknown."""
    return find_recipe(name).epochs
