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

_HOTKEYS = "1234567890qwertasdfgzvbyuiophjklm"
_RETIRED = "No longer in the taxonomy."
_SMALL = "font-size: 15px; line-height: 1.5; margin: 0.3em 0;"
_EMPTY = """<View className="tagger"><Style>
.tagger { max-width: 70em; } .tagger-abstract { line-height: 1.6; }
.tagger-reason { opacity: 0.7; } .tagger-facet { margin-top: 0.5em; }
</Style></View>"""
_PAPER_BLOCKS = f"""<View>
<Header value="$title" size="3"/>
<View className="tagger-reason"><Header value="$reason" size="5" style="{_SMALL}"/></View>
<View className="tagger-abstract"><Text name="{PAPER}" value="$abstract"/></View>
</View>"""
_CLOSING_BLOCKS = f"""<View>
<View className="tagger-facet">
<Choices name="{VERDICT}" toName="{PAPER}" choice="multiple" showInline="true">
<Choice value="{NOT_A_PAPER}" hotkey="n"
 hint="An advertisement, a heading, a call for papers: no tags apply."/>
<Choice value="{CANNOT_TELL}" hotkey="c" hint="The text does not say enough."/>
<Choice value="{FINAL}" hotkey="x" hint="Your answer counts, whatever others say of this paper."/>
</Choices>
</View>
<View className="tagger-facet">
<TextArea name="{NOTE}" toName="{PAPER}" placeholder="Note" rows="2" maxSubmissions="1"
 editable="true"/>
</View>
</View>"""

InUse = Set[tuple[str, str]]
"""Facets and tags that annotations speak of."""


def build_interface(taxonomy: Taxonomy) -> str:
    """Return the labelling interface of a taxonomy as XML.

    An exclusive facet is a single choice; any other is a multiple choice, or a tree if its tags
    are nested. Definitions are hints; each choice outside a tree has a hotkey, while there are any.
    """
    return adapt_interface(_EMPTY, taxonomy, frozenset)[0]


def adapt_interface(
    config: str, taxonomy: Taxonomy, in_use: Callable[[], InUse]
) -> tuple[str, list[str]]:
    """Return an interface that fits a taxonomy, and what was changed, in words.

    Tags that are gone from the taxonomy go from the interface, but for those that annotations
    use: they stay and are marked, so that no annotation is lost. ``in_use`` is called only where
    a tag is gone. A :class:`TaggerError` is raised if the interface is no XML.
    """
    from lxml import etree

    adaptation = _Adaptation(_parse(config), in_use)
    adaptation.put_paper_back()
    for facet in taxonomy.facets:
        adaptation.fit_facet(facet)
    adaptation.retire_facets({facet.name for facet in taxonomy.facets})
    adaptation.put_closing_back()
    if not adaptation.changes:
        return config, []
    etree.indent(adaptation.root)
    return etree.tostring(adaptation.root, encoding="unicode") + "\n", adaptation.changes


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


class _Adaptation:
    """Makes an interface fit, step by step; ``changes`` says in words what was changed."""

    def __init__(self, root: Element, in_use: Callable[[], InUse]) -> None:
        self.root = root
        self.changes: list[str] = []
        self._in_use = in_use
        taken = {choice.get("hotkey") for choice in root.iter("Choice")}
        self._hotkeys = (key for key in _HOTKEYS if key not in taken)

    def put_paper_back(self) -> None:
        if _named(self.root, PAPER) is None:
            for number, block in enumerate(_parse(_PAPER_BLOCKS)):
                self.root.insert(number, block)
            self.changes.append("title and abstract put back")

    def put_closing_back(self) -> None:
        for name, block in zip((VERDICT, NOTE), _parse(_CLOSING_BLOCKS), strict=True):
            if _named(self.root, name) is None:
                self.root.append(block)
                self.changes.append(f"'{name}' put back")

    def fit_facet(self, facet: Facet) -> None:
        control = _named(self.root, facet.name)
        if control is None:
            self._add_facet(facet)
            return
        offered = [str(choice.get("value")) for choice in control.iter("Choice")]
        gone = [value for value in offered if value not in facet.tag_names]
        kept = [value for value in gone if (facet.name, value) in self._in_use()] if gone else []
        wanted = self._control(facet, control, kept)
        if _shape(control) == _shape(wanted):
            if _describe(control, facet):
                self.changes.append(f"the facet '{facet.name}' is described anew")
            return
        parent = control.getparent()
        if parent is None:
            raise TaggerError(
                f"the labelling interface consists of the control '{facet.name}' alone",
                hint="Put it into a <View>",
            )
        parent.replace(control, wanted)
        words = [f"+{tag}" for tag in facet.tag_names if tag not in offered]
        words += [f"-{value}" for value in gone if value not in kept]
        words += [f"{tag} kept for annotations that use it" for tag in kept]
        self.changes.append(f"the facet '{facet.name}' changed ({', '.join(words) or 'its form'})")

    def retire_facets(self, known: Set[str]) -> None:
        """Take out controls of facets that are gone, unless annotations use them."""
        for block in list(self.root.iter("View")):
            controls = [child for child in block if child.tag in ("Choices", "Taxonomy")]
            name = str(controls[0].get("name")) if len(controls) == 1 else ""
            # A control that a person has renamed or added is not a facet of former times.
            if block.get("className") != _facet_class(name) or name in known:
                continue
            heading, parent = block.find("Header"), block.getparent()
            if not any(facet == name for facet, _ in self._in_use()):
                if parent is not None:
                    parent.remove(block)
                    self.changes.append(f"the facet '{name}' removed")
            elif heading is not None and _RETIRED not in str(heading.get("value")):
                heading.set("value", f"{name}: {_RETIRED}")
                self.changes.append(f"the facet '{name}' kept for annotations that use it")

    def _add_facet(self, facet: Facet) -> None:
        """Put a facet before the verdict, if that is where we put it, or else at the end."""
        from lxml import etree

        block = etree.Element("View", className=_facet_class(facet.name))
        etree.SubElement(block, "Header", value=_heading(facet), size="5", style=_SMALL)
        block.append(self._control(facet, None, ()))
        verdicts = [_named(child, VERDICT) is not None for child in self.root]
        self.root.insert(verdicts.index(True) if any(verdicts) else len(verdicts), block)
        self.changes.append(f"the facet '{facet.name}' added")

    def _control(self, facet: Facet, current: Element | None, kept: Sequence[str]) -> Element:
        """Make the control of a facet; attributes and hotkeys of the current one are kept."""
        from lxml import etree

        tree = is_tree(facet)
        control = etree.Element("Taxonomy" if tree else "Choices", name=facet.name, toName=PAPER)
        control.attrib.update(
            {"leafsOnly": "false", "showFullPath": "true"} if tree else {"showInline": "true"}
        )
        old: dict[str, Element] = {}
        if current is not None:
            control.tail = current.tail
            old = {str(choice.get("value")): choice for choice in current.iter("Choice")}
            if current.tag == control.tag:
                control.attrib.update(current.attrib)
        if not tree:
            control.set("choice", "single" if facet.exclusive else "multiple")
        nodes: dict[str | None, Element] = {None: control}
        waiting = [(tag.name, tag.hint, tag.parent if tree else None) for tag in facet.tags]
        waiting += [(value, _RETIRED, None) for value in kept]
        while waiting:
            # A parent may stand after its children in the file.
            value, hint, parent = next(entry for entry in waiting if entry[2] in nodes)
            waiting.remove((value, hint, parent))
            node = etree.SubElement(nodes[parent], "Choice", value=value)
            if value in old:
                node.attrib.update(old[value].attrib)
            elif not tree and (key := next(self._hotkeys, None)):
                node.set("hotkey", key)
            node.set("hint", hint)
            nodes[value] = node
        return control


def _shape(control: Element) -> object:
    """Return what a control offers, in any order, and in which form."""
    return control.tag, control.get("choice"), set(_paths(control, ()))


def _paths(node: Element, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for choice in node.findall("Choice"):
        here = (*above, str(choice.get("value")))
        yield here
        yield from _paths(choice, here)


def _describe(control: Element, facet: Facet) -> bool:
    """Bring hints and heading in step with the definitions; tell whether they were not."""
    hints = {tag.name: tag.hint for tag in facet.tags}
    wanted = [
        (choice, "hint", hints.get(str(choice.get("value")), _RETIRED))
        for choice in control.iter("Choice")
    ]
    block = control.getparent()
    heading = None if block is None else block.find("Header")
    # A heading that a person has worded does not begin with the name of the facet.
    if heading is not None and str(heading.get("value")).startswith(f"{facet.name}: "):
        wanted.append((heading, "value", _heading(facet)))
    stale = [(node, name, text) for node, name, text in wanted if node.get(name) != text]
    for node, name, text in stale:
        node.set(name, text)
    return bool(stale)


def _heading(facet: Facet) -> str:
    return f"{facet.name}: {facet.definition}"


def _facet_class(name: str) -> str:
    return f"tagger-facet tagger-facet-{name}"


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
