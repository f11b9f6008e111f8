"""Taxonomies that hypothesis makes up."""

from hypothesis import strategies as st

from tagger.taxonomy import Facet, Tag, Taxonomy

NAMES = list("abcdefghij")


@st.composite
def made_facets(draw, name, exclusive=None):
    """A facet of a few tags, in trees, in any order; exclusive or not where that is not given."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True))
    tags = [
        Tag(name=tag, definition=f"On {tag}.", parent=draw(st.sampled_from([None, *names[:n]])))
        for n, tag in enumerate(names)
    ]
    exclusive = draw(st.booleans()) if exclusive is None else exclusive
    tags = tuple(draw(st.permutations(tags)))
    return Facet(name=name, definition="A question.", exclusive=exclusive, tags=tags)


@st.composite
def made_taxonomies(draw):
    names = draw(st.lists(st.sampled_from(["kind", "field", "size"]), min_size=1, unique=True))
    return Taxonomy(name="made", facets=tuple(draw(made_facets(name)) for name in names))
