"""Build the labelling interface of a taxonomy, and adapt it when the taxonomy changes.

Changes that people made in Label Studio (layout, order, hotkeys, own controls) are kept; missing
controls are restored, and hints and headings are updated to the definitions. The elements are
documented at https://labelstud.io/tags/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.taxonomy import Facet, Taxonomy

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

# Names of controls. Those of facets are in lower case, so these are never the same.
PAPER = "Paper"
VERDICT = "Verdict"
NOTE = "Note"

NOT_A_PAPER = "not a paper"
CANNOT_TELL = "cannot tell"
FINAL = "settles a disagreement"
VERDICTS = "verdicts"
"""In the data of a task: choices of the verdict that only this task has."""
SETTLE = {"value": FINAL, "hotkey": "x", "hint": "Your answer overrides those of others."}
"""The choice that a task gets on which reviewers disagree."""

HOTKEYS = "1234567890qwertasdfgzvbyuiophjklm"
_RETIRED = "No longer in the taxonomy."
_SMALL = "font-size: 15px; line-height: 1.5; margin: 0.3em 0;"
_BESIDE = "display: inline-block; font-size: 13px; font-weight: 400; opacity: 0.7; margin: 0;"
ALL_TAGS = "ALL"
"""The name of the confidences of a tree in the data of a task: one text. No tag is named so."""
_EMPTY = """<View className="tagger"><Style>
.tagger { max-width: 62em; } .tagger-abstract .lsf-richtext__container { line-height: 1.6; }
.tagger-abstract mark { background: #ffe9a8; color: #1a1a1a; }
.tagger-reason { opacity: 0.7; } .tagger-reason h4 { font-weight: 400; }
.tagger-facet { margin-top: 1em; } .tagger .lsf-choices { margin: 0; }
.tagger .lsf-choice { line-height: 30px; } .tagger .lsf-choice + .lsf-choice { margin-left: 15px; }
.tagger .lsf-choice__checkbox { padding-left: 0; }
.lsf-sidepanels { padding: 0 !important; } .lsf-sidepanels__wrapper { display: none; }
</Style></View>"""
_COUNT = ".lsf-current-task__task-count { display: none; }"
_PAPER_BLOCKS = f"""<View>
<Header value="$title" size="3"/>
<View className="tagger-reason"><Header value="$reason" size="5" style="{_SMALL}"/></View>
<View className="tagger-abstract"><HyperText name="{PAPER}" value="$marked" inline="true"/></View>
</View>"""
_CLOSING_BLOCKS = f"""<View>
<View className="tagger-facet">
<Choices name="{VERDICT}" toName="{PAPER}" choice="multiple" showInline="true" value="${VERDICTS}">
<Choice value="{NOT_A_PAPER}" hotkey="n"
 hint="For example an advertisement, a heading or a call for papers."/>
<Choice value="{CANNOT_TELL}" hotkey="c" hint="The text is not sufficient to decide."/>
</Choices>
</View>
<View className="tagger-facet">
<TextArea name="{NOTE}" toName="{PAPER}" placeholder="Note (Enter leaves the field)"
 maxSubmissions="1" editable="true"/>
</View>
</View>"""

InUse = Set[tuple[str, str]]
"""Pairs of facet and tag that occur in annotations."""


def build_interface(taxonomy: Taxonomy) -> str:
    """Return the labelling interface of a taxonomy as XML.

    An exclusive facet becomes a single choice, any other a multiple choice, or a tree if its tags
    are nested. Definitions become hints. Choices outside of trees get hotkeys until none is left.
    """
    return adapt_interface(_EMPTY, taxonomy, frozenset)[0]


def adapt_interface(
    config: str,
    taxonomy: Taxonomy,
    in_use: Callable[[], InUse],
    *,
    alone: Callable[[], bool] = lambda: True,
) -> tuple[str, list[str]]:
    """Adapt an interface to a taxonomy; return it with a description of each change.

    Tags that are not in the taxonomy any more are removed. Tags that annotations use are kept and
    marked, so that no annotation is lost; ``in_use`` returns them and is called only if tags were
    removed. Unless the server has a single account, the number of papers is hidden: Label Studio
    shows everybody that of one account. ``alone`` tells which, and is called only if the number is
    not hidden yet. Raises a :class:`TaggerError` if the interface is not valid XML.
    """
    from lxml import etree

    adaptation = _Adaptation(_parse(config), in_use)
    adaptation.restore_paper()
    for facet in taxonomy.facets:
        adaptation.adapt_facet(facet)
    adaptation.retire_facets({facet.name for facet in taxonomy.facets})
    adaptation.restore_closing()
    adaptation.hide_count_unless(alone)
    if not adaptation.changes:
        return config, []
    etree.indent(adaptation.root)
    return etree.tostring(adaptation.root, encoding="unicode") + "\n", adaptation.changes


def has_facet_of(config: str, taxonomy: Taxonomy) -> bool:
    """Tell whether an interface has the control of at least one facet."""
    root = _parse(config)
    return any(_find_control(root, facet.name) is not None for facet in taxonomy.facets)


def is_review_interface(config: str) -> bool:
    """Tell whether an interface was built by tagger, for any taxonomy."""
    root = _parse(config)
    return all(_find_control(root, name) is not None for name in (PAPER, VERDICT))


def is_tree(facet: Facet) -> bool:
    """Tell whether the control of a facet is a tree."""
    return not facet.exclusive and any(tag.parent for tag in facet.tags)


def data_name(name: str) -> str:
    """Return the name in a task's data of a facet or tag; a reference to data has no hyphens."""
    return name.replace("-", "X")


def tag_path(facet: Facet, tag: str) -> list[str]:
    """Return the names from the root of the tree down to a tag."""
    return [*reversed(facet.ancestors(tag)), tag]


class _Adaptation:
    """Adapts an interface step by step; ``changes`` describes each change."""

    def __init__(self, root: Element, in_use: Callable[[], InUse]) -> None:
        self.root = root
        self.changes: list[str] = []
        self._in_use = in_use
        used = {choice.get("hotkey") for choice in root.iter("Choice")}
        self._hotkeys = (key for key in HOTKEYS if key not in used)

    def restore_paper(self) -> None:
        if _find_control(self.root, PAPER) is None:
            for index, block in enumerate(_parse(_PAPER_BLOCKS)):
                self.root.insert(index, block)
            self.changes.append("title and abstract restored")

    def restore_closing(self) -> None:
        for name, block in zip((VERDICT, NOTE), _parse(_CLOSING_BLOCKS), strict=True):
            if _find_control(self.root, name) is None:
                self.root.append(block)
                self.changes.append(f"'{name}' restored")

    def hide_count_unless(self, alone: Callable[[], bool]) -> None:
        from lxml import etree

        hidden = any(_COUNT in (style.text or "") for style in self.root.iter("Style"))
        if not hidden and not alone():
            etree.SubElement(self.root, "Style").text = _COUNT
            self.changes.append("the number of papers is hidden: it is right for one account only")

    def adapt_facet(self, facet: Facet) -> None:
        control = _find_control(self.root, facet.name)
        if control is None:
            self._add_facet(facet)
            return
        offered = [str(choice.get("value")) for choice in control.iter("Choice")]
        gone = [value for value in offered if value not in facet.tag_names]
        kept = [value for value in gone if (facet.name, value) in self._in_use()] if gone else []
        adapted = self._make_control(facet, control, kept)
        if _options(control) == _options(adapted):
            if _update_texts(control, facet):
                self.changes.append(f"the facet '{facet.name}' has new definitions")
            return
        parent = control.getparent()
        if parent is None:
            raise TaggerError(
                f"the labelling interface has only the control '{facet.name}'",
                hint="Put it into a <View>",
            )
        parent.replace(control, adapted)
        details = [f"+{tag}" for tag in facet.tag_names if tag not in offered]
        details += [f"-{value}" for value in gone if value not in kept]
        details += [f"{tag} kept for annotations that use it" for tag in kept]
        self.changes.append(f"the facet '{facet.name}' changed ({', '.join(details) or 'form'})")

    def retire_facets(self, current: Set[str]) -> None:
        """Remove controls of facets that are not current, unless annotations use them."""
        for block in list(self.root.iter("View")):
            controls = [child for child in block if child.tag in ("Choices", "Taxonomy")]
            name = str(controls[0].get("name")) if len(controls) == 1 else ""
            # Controls that a person has renamed or added are kept.
            if block.get("className") != _facet_class(name) or name in current:
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
        """Insert a facet before the verdict, or at the end if the verdict was moved."""
        from lxml import etree

        block = etree.Element("View", className=_facet_class(facet.name))
        etree.SubElement(block, "Header", value=_heading(facet), size="5", style=_SMALL)
        if is_tree(facet):
            confidence = _confidence_of(facet.name, ALL_TAGS)
            etree.SubElement(block, "Header", value=confidence, size="5", style=_BESIDE)
        block.append(self._make_control(facet, None, ()))
        verdicts = [_find_control(child, VERDICT) is not None for child in self.root]
        self.root.insert(verdicts.index(True) if any(verdicts) else len(verdicts), block)
        self.changes.append(f"the facet '{facet.name}' added")

    def _make_control(self, facet: Facet, current: Element | None, kept: Sequence[str]) -> Element:
        """Return the control of a facet, with attributes and hotkeys of the current control."""
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
        # A parent can come after its children in the taxonomy file.
        tags = sorted(facet.tags, key=lambda tag: tree and len(facet.ancestors(tag.name)))
        choices = [(tag.name, tag.hint, tag.parent if tree else None) for tag in tags]
        for value, hint, parent in [*choices, *((value, _RETIRED, None) for value in kept)]:
            # The block keeps a tag and its confidence on one line.
            block = nodes[parent] if tree else etree.SubElement(control, "View", display="inline")
            node = etree.SubElement(block, "Choice", value=value)
            if value in old:
                node.attrib.update(old[value].attrib)
            elif not tree and (key := next(self._hotkeys, None)):
                node.set("hotkey", key)
            node.set("hint", hint)
            if not tree:
                confidence = _confidence_of(facet.name, value)
                etree.SubElement(block, "Header", value=confidence, size="5", style=_BESIDE)
            nodes[value] = node
        return control


def _options(control: Element) -> object:
    """Return the form of a control and its choices, independent of their order."""
    confidences = control.find("View/Header") is not None
    paths = {
        tuple(each.get("value") for each in (choice, *choice.iterancestors("Choice")))
        for choice in control.iter("Choice")
    }
    return control.tag, control.get("choice"), confidences, paths


def _update_texts(control: Element, facet: Facet) -> bool:
    """Update hints and heading to the definitions; return whether anything changed."""
    hints = {tag.name: tag.hint for tag in facet.tags}
    texts = [
        (choice, "hint", hints.get(str(choice.get("value")), _RETIRED))
        for choice in control.iter("Choice")
    ]
    block = control.getparent()
    heading = None if block is None else block.find("Header")
    # A heading without the name of the facet was written by a person.
    if heading is not None and str(heading.get("value")).startswith(f"{facet.name}: "):
        texts.append((heading, "value", _heading(facet)))
    stale = [(node, name, text) for node, name, text in texts if node.get(name) != text]
    for node, name, text in stale:
        node.set(name, text)
    return bool(stale)


def _confidence_of(facet: str, tag: str) -> str:
    """Return the reference to a confidence in the data of a task; without one it shows nothing."""
    return f"$confidence.{data_name(facet)}.{data_name(tag)}"


def _heading(facet: Facet) -> str:
    # Label Studio takes a dollar sign before a letter for a reference to data: an invisible
    # character (WORD JOINER) comes between.
    return f"{facet.name}: {facet.definition}".replace("$", "$\u2060")


def _facet_class(name: str) -> str:
    return f"tagger-facet tagger-facet-{name}"


def _find_control(root: Element, name: str) -> Element | None:
    return next((node for node in root.iter() if node.get("name") == name), None)


def _parse(config: str) -> Element:
    from lxml import etree

    # The text comes from a server: resolve no entities, load nothing from the network.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=False)
    try:
        return etree.fromstring(config.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise TaggerError(f"the labelling interface is not XML ({error})") from error
