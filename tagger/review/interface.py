"""The labelling interface: made from a taxonomy, and adapted when taxonomy or interface changed.

What a person changed by hand (layout, order, hotkeys, controls of their own) stays; only what the
tags need is put back, and hints and headings follow the definitions. The elements are those of
https://labelstud.io/tags/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.taxonomy import Facet, Taxonomy

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

# A facet's control has the facet's name, which is in lower case: these never clash with one.
PAPER = "Paper"
VERDICT = "Verdict"
NOTE = "Note"

NOT_A_PAPER = "not a paper"
CANNOT_TELL = "cannot tell"
FINAL = "settles a disagreement"

_VERDICTS = {
    NOT_A_PAPER: ("n", "An advertisement, a heading, a call for papers: no tags apply."),
    CANNOT_TELL: ("c", "The text does not say enough."),
    FINAL: ("x", "Your answer counts, whatever others say of this paper."),
}
_HOTKEYS = "1234567890qwertasdfgzvbyuiophjklm"
_RETIRED = "No longer in the taxonomy."
_STYLE = (
    ".tagger { max-width: 70em; } .tagger-abstract { line-height: 1.6; } "
    ".tagger-reason { opacity: 0.7; } .tagger-facet { margin-top: 0.5em; }"
)
_SMALL = "font-size: 15px; line-height: 1.5; margin: 0.3em 0;"

InUse = Set[tuple[str, str]]
"""Facets and tags that annotations speak of."""


def build_interface(taxonomy: Taxonomy) -> str:
    """Return the labelling interface of a taxonomy as XML.

    An exclusive facet is a single choice; any other is a multiple choice, or a tree if its tags
    are nested. Definitions are hints; each choice outside a tree has a hotkey, while there are any.
    """
    from lxml import etree

    root = etree.Element("View", className="tagger")
    etree.SubElement(root, "Style").text = _STYLE
    for block in _paper_blocks():
        root.append(block)
    hotkeys = iter(_HOTKEYS)
    for facet in taxonomy.facets:
        root.append(_facet_block(facet, hotkeys))
    for block in _closing_blocks():
        root.append(block)
    return _write(root)


def adapt_interface(
    config: str, taxonomy: Taxonomy, in_use: Callable[[], InUse]
) -> tuple[str, list[str]]:
    """Make an interface fit a taxonomy, and leave alone all that fits already.

    Tags that are gone from the taxonomy go from the interface, but for those that annotations
    use: they stay and are marked, so that no annotation is lost.

    Parameters
    ----------
    config:
        The interface as XML.
    taxonomy:
        What it must offer.
    in_use:
        Gives the facets and tags that annotations use; called only where a tag is gone.

    Returns
    -------
    tuple
        The interface and what was changed, in words.

    Raises
    ------
    TaggerError
        If the interface is no XML.
    """
    root = _parse(config)
    changes: list[str] = []
    if _named(root, PAPER) is None:
        for number, block in enumerate(_paper_blocks()):
            root.insert(number, block)
        changes.append("title and abstract put back")
    keys = {choice.get("hotkey") for choice in root.iter("Choice")}
    hotkeys = (key for key in _HOTKEYS if key not in keys)
    for facet in taxonomy.facets:
        _adapt_facet(root, facet, hotkeys, in_use, changes)
    _retire_facets(root, taxonomy, in_use, changes)
    for block in _closing_blocks():
        control = next(child for child in block.iter() if child.get("name"))
        if _named(root, str(control.get("name"))) is None:
            root.append(block)
            changes.append(f"'{control.get('name')}' put back")
    return (_write(root), changes) if changes else (config, [])


def has_facet_of(config: str, taxonomy: Taxonomy) -> bool:
    """Tell whether an interface has the control of at least one facet."""
    root = _parse(config)
    return any(_named(root, facet.name) is not None for facet in taxonomy.facets)


def is_review_interface(config: str) -> bool:
    """Tell whether an interface is one of ours, of whatever taxonomy."""
    root = _parse(config)
    return all(_named(root, name) is not None for name in (PAPER, VERDICT))


def is_tree(facet: Facet) -> bool:
    """Tell whether a facet is shown as a tree."""
    return not facet.exclusive and any(tag.parent for tag in facet.tags)


def tag_path(facet: Facet, tag: str) -> list[str]:
    """Return the names from the root of the tree down to a tag."""
    return [*reversed(facet.ancestors(tag)), tag]


def _adapt_facet(
    root: Element,
    facet: Facet,
    hotkeys: Iterator[str],
    in_use: Callable[[], InUse],
    changes: list[str],
) -> None:
    control = _named(root, facet.name)
    if control is None:
        _before_closing(root, _facet_block(facet, hotkeys))
        changes.append(f"the facet '{facet.name}' added")
        return
    offered = [str(choice.get("value")) for choice in control.iter("Choice")]
    gone = [value for value in offered if value not in facet.tag_names]
    kept = [value for value in gone if (facet.name, value) in in_use()] if gone else []
    if not _fits(control, facet, kept):
        wanted = _control(facet, hotkeys, control, kept)
        parent = control.getparent()
        if parent is None:
            raise TaggerError(
                f"the labelling interface consists of the control '{facet.name}' alone",
                hint="Put it into a <View>",
            )
        wanted.tail = control.tail
        parent.replace(control, wanted)
        added = [tag for tag in facet.tag_names if tag not in offered]
        removed = [value for value in gone if value not in kept]
        words = [f"+{tag}" for tag in added] + [f"-{tag}" for tag in removed]
        words += [f"{tag} kept for annotations that use it" for tag in kept]
        changes.append(f"the facet '{facet.name}' changed ({', '.join(words) or 'its form'})")
    elif _describe(control, facet):
        changes.append(f"the facet '{facet.name}' is described anew")


def _fits(control: Element, facet: Facet, kept: Sequence[str]) -> bool:
    """Tell whether a control offers just the tags that it should, in the form that it should."""
    tree = is_tree(facet)
    wanted = {tuple(tag_path(facet, tag)) if tree else (tag,) for tag in facet.tag_names}
    wanted |= {(value,) for value in kept}
    form = None if tree else ("single" if facet.exclusive else "multiple")
    return (
        control.tag == ("Taxonomy" if tree else "Choices")
        and (form is None or control.get("choice") == form)
        and set(_paths(control, ())) == wanted
    )


def _paths(node: Element, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for choice in node.findall("Choice"):
        here = (*above, str(choice.get("value")))
        yield here
        yield from _paths(choice, here)


def _describe(control: Element, facet: Facet) -> bool:
    """Bring hints and heading in step with the definitions; tell whether they were not."""
    wanted = []
    hints = {tag.name: tag.definition for tag in facet.tags}
    for choice in control.iter("Choice"):
        wanted.append((choice, "hint", hints.get(str(choice.get("value")), _RETIRED)))
    block = control.getparent()
    heading = None if block is None else block.find("Header")
    # A heading that a person has worded does not begin with the name of the facet.
    if heading is not None and str(heading.get("value")).startswith(f"{facet.name}: "):
        wanted.append((heading, "value", _heading(facet)))
    stale = [(node, name, text) for node, name, text in wanted if node.get(name) != text]
    for node, name, text in stale:
        node.set(name, text)
    return bool(stale)


def _retire_facets(
    root: Element, taxonomy: Taxonomy, in_use: Callable[[], InUse], changes: list[str]
) -> None:
    """Take out controls of facets that are gone, unless annotations use them."""
    known = {facet.name for facet in taxonomy.facets}
    for block in list(root.iter("View")):
        controls = [child for child in block if child.tag in ("Choices", "Taxonomy")]
        names = [str(control.get("name")) for control in controls]
        # A control that a person has renamed or added is not a facet of former times.
        ours = len(controls) == 1 and block.get("className") == _facet_class(names[0])
        if not ours or names[0] in known:
            continue
        heading = block.find("Header")
        if any(facet == names[0] for facet, _ in in_use()):
            if heading is not None and _RETIRED not in str(heading.get("value")):
                heading.set("value", f"{names[0]}: {_RETIRED}")
                changes.append(f"the facet '{names[0]}' kept for annotations that use it")
            continue
        parent = block.getparent()
        if parent is not None:
            parent.remove(block)
            changes.append(f"the facet '{names[0]}' removed")


def _paper_blocks() -> list[Element]:
    from lxml import etree

    abstract = etree.Element("View", className="tagger-abstract")
    etree.SubElement(abstract, "Text", name=PAPER, value="$abstract")
    reason = etree.Element("View", className="tagger-reason")
    etree.SubElement(reason, "Header", value="$reason", size="5", style=_SMALL)
    return [etree.Element("Header", value="$title", size="3"), reason, abstract]


def _facet_block(facet: Facet, hotkeys: Iterator[str]) -> Element:
    from lxml import etree

    block = etree.Element("View", className=_facet_class(facet.name))
    etree.SubElement(block, "Header", value=_heading(facet), size="5", style=_SMALL)
    block.append(_control(facet, hotkeys, None, ()))
    return block


def _heading(facet: Facet) -> str:
    return f"{facet.name}: {facet.definition}"


def _facet_class(name: str) -> str:
    return f"tagger-facet tagger-facet-{name}"


def _closing_blocks() -> list[Element]:
    from lxml import etree

    verdict = etree.Element("View", className="tagger-facet")
    choices = etree.SubElement(
        verdict, "Choices", name=VERDICT, toName=PAPER, choice="multiple", showInline="true"
    )
    for value, (hotkey, hint) in _VERDICTS.items():
        etree.SubElement(choices, "Choice", value=value, hotkey=hotkey, hint=hint)
    note = etree.Element("View", className="tagger-facet")
    etree.SubElement(
        note,
        "TextArea",
        name=NOTE,
        toName=PAPER,
        placeholder="Note",
        rows="2",
        maxSubmissions="1",
        editable="true",
    )
    return [verdict, note]


def _control(
    facet: Facet, hotkeys: Iterator[str], current: Element | None, kept: Sequence[str]
) -> Element:
    """Make the control of a facet; attributes and hotkeys of the current one are kept."""
    from lxml import etree

    tree = is_tree(facet)
    kind = "Taxonomy" if tree else "Choices"
    attributes = {"name": facet.name, "toName": PAPER}
    if tree:
        attributes |= {"leafsOnly": "false", "showFullPath": "true"}
    else:
        attributes |= {"choice": "single" if facet.exclusive else "multiple", "showInline": "true"}
    old: dict[str, Element] = {}
    if current is not None:
        old = {str(choice.get("value")): choice for choice in current.iter("Choice")}
        if current.tag == kind:
            own = {str(key): str(value) for key, value in current.attrib.items()}
            forced = {key: attributes[key] for key in ("name", "choice") if key in attributes}
            attributes = attributes | own | forced
    control = etree.Element(kind, attributes)
    nodes: dict[str | None, Element] = {None: control}

    def add(value: str, hint: str, parent: str | None) -> None:
        was = old.get(value)
        node = etree.SubElement(nodes[parent], "Choice", value=value)
        if was is not None:
            node.attrib.update({str(key): str(word) for key, word in was.attrib.items()})
        elif not tree and (key := next(hotkeys, None)):
            node.set("hotkey", key)
        node.set("hint", hint)
        nodes[value] = node

    waiting = list(facet.tags)
    while waiting:
        # A parent may stand after its children in the file.
        tag = next(tag for tag in waiting if not tree or tag.parent in nodes)
        waiting.remove(tag)
        add(tag.name, tag.definition, tag.parent if tree else None)
    for value in kept:
        add(value, _RETIRED, None)
    return control


def _before_closing(root: Element, block: Element) -> None:
    """Put a block before the verdict, if that is where we put it, or else at the end."""
    for number, child in enumerate(root):
        if any(node.get("name") == VERDICT for node in child.iter()):
            root.insert(number, block)
            return
    root.append(block)


def _named(root: Element, name: str) -> Element | None:
    return next((node for node in root.iter() if node.get("name") == name), None)


def _parse(config: str) -> Element:
    from lxml import etree

    # The text comes from a server: no entities, no network.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=False)
    try:
        return etree.fromstring(config.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise TaggerError(f"the labelling interface is not XML ({error})") from error


def _write(root: Element) -> str:
    from lxml import etree

    etree.indent(root)
    return etree.tostring(root, encoding="unicode") + "\n"
