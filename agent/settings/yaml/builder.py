"""Builder of the tree from YAML events: anchors, merge keys, duplicate keys, tags; bounded, without recursion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatepost.agent.settings.problem import Origin, Path, ProblemReport
from gatepost.agent.settings.yaml.nodes import AMBIGUOUS_WORDS, HALF, ListNode, MapEntry, MapNode, Node, ScalarNode

if TYPE_CHECKING:
    from yaml import Event

MAX_DEPTH = 30
MAX_NODES = 100_000  # with aliases counted each time they are used

_CORE = "tag:yaml.org,2002:"
_MERGE = "<<"


class _Open:
    """A collection that is being read."""

    def __init__(self, node: MapNode | ListNode, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.key: ScalarNode | None = None
        self.bad_key = False
        self.merged: list[MapNode] = []
        self.size = 1
        self.depth = 1


class YamlBuilder:
    """Takes events one by one; `root` is the document, `partial()` what there is when the rest cannot be read."""

    def __init__(self, name: str, report: ProblemReport) -> None:
        self.name = name
        self.root: Node | None = None
        self.whole = True  # False = something was left out, so what is missing is no problem of its own
        self.last = Origin(name, 1, 1)
        self._report = report
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int, int]] = {}
        self._documents = 0
        self._nodes = 0

    def take(self, event: Event) -> bool:
        """False = stop reading here."""
        import yaml

        if event.start_mark is not None:
            self.last = Origin(self.name, event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                hint = "put it into a file of its own in conf.d"
                return self._refuse("several-documents", "a second document starts with ---", hint)
        elif isinstance(event, yaml.ScalarEvent):
            self._tagged(event)
            plain = bool(event.implicit[0]) or (not event.style and event.tag not in (None, "!", _CORE + "str"))
            self._add(ScalarNode(self._whole(event.value), self.last, plain), event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor or "")
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            if len(self._open) >= MAX_DEPTH:
                return self._refuse("too-deep", f"is nested more than {MAX_DEPTH} levels deep", "settings need six")
            self._tagged(event)
            opened = MapNode({}, self.last) if isinstance(event, yaml.MappingStartEvent) else ListNode([], self.last)
            self._open.append(_Open(opened, event.anchor))
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._close()
        if self._nodes > MAX_NODES:
            return self._refuse("too-big", f"holds more than {MAX_NODES} values", "look for aliases of aliases")
        return True

    def partial(self) -> Node | None:
        self.whole = False
        while self._open:
            self._close()
        return self.root

    def _refuse(self, code: str, message: str, hint: str) -> bool:
        self._report.error(self.last, self._path(), code, message, hint)
        self.partial()
        return False

    def _path(self) -> Path:
        return tuple(
            opened.key.text if opened.key else str(len(opened.node.values)) if isinstance(opened.node, ListNode) else ""
            for opened in self._open
            if opened.key or isinstance(opened.node, ListNode)
        )

    def _whole(self, text: str) -> str:
        """An escape may name half a character, which no file, message or log could take."""
        half = HALF.search(text)
        if half is None:
            return text
        message = f"U+{ord(half[0]):04X} is only half a character"
        self._report.error(self.last, self._path(), "half-character", message, "write the character itself")
        return HALF.sub("_", text)

    def _tagged(self, event: Any) -> None:
        tag = event.tag
        if tag is not None and tag != "!" and not tag.startswith(_CORE):
            reference = "write a secret as {credential: NAME}, {file: PATH} or {env: NAME}"
            hint = reference if "secret" in tag else "remove it, or put the value in quotes"
            # It is not repeated: it may be a password that begins so.
            self._report.error(self.last, self._path(), "tag", "a YAML tag (!) is not supported", hint)

    def _alias(self, anchor: str) -> bool:
        found = self._anchors.get(anchor)
        if found is None:
            inside = any(opened.anchor == anchor for opened in self._open)
            message = "an alias (*) that is " + ("used inside itself" if inside else "not defined before it")
            hint = "define it with & before, or put the value in quotes"
            self._report.error(self.last, self._path(), "alias", message, hint)
            self.whole = False
            self._skip()
            return True
        node, size, depth = found
        if len(self._open) + depth > MAX_DEPTH:
            return self._refuse("too-deep", f"is nested more than {MAX_DEPTH} levels deep", "settings need six")
        self._add(node, None, size, depth)
        return True

    def _skip(self) -> None:
        """A value that is left out."""
        if self._open and isinstance(self._open[-1].node, MapNode):
            top = self._open[-1]
            if top.key is None and not top.bad_key:
                top.bad_key = True
            else:
                top.key, top.bad_key = None, False

    def _close(self) -> None:
        top = self._open.pop()
        if isinstance(top.node, MapNode):
            for merged in reversed(top.merged):
                for name, entry in merged.items():
                    top.node.entries.setdefault(name, entry)
        self._add(top.node, top.anchor, top.size, top.depth)

    def _add(self, node: Node, anchor: str | None, size: int = 1, depth: int = 0) -> None:
        self._nodes += size
        if anchor is not None:
            self._anchors[anchor] = (node, size, depth)
        if not self._open:
            if self.root is None:
                self.root = node
            return
        top = self._open[-1]
        top.size += size
        top.depth = max(top.depth, depth + 1)
        if isinstance(top.node, ListNode):
            top.node.values.append(node)
        elif top.key is None and not top.bad_key:
            self._key(top, node)
        else:
            if top.key is not None:
                self._value(top, top.node, top.key, node)
            top.key, top.bad_key = None, False

    def _key(self, top: _Open, node: Node) -> None:
        if isinstance(node, ScalarNode) and not (node.plain and node.text in ("", "~")):
            if node.trap == "word" and node.text.lower() in AMBIGUOUS_WORDS:
                message = f"the key {node.text} is true or false to many YAML readers"
                hint = f'here it is the word; put it in quotes: "{node.text}":'
                self._report.warn(node.origin, (*self._path(), node.text), "ambiguous-word", message, hint)
            top.key = node
            return
        top.bad_key = True
        self.whole = False
        self._report.error(node.origin, self._path(), "bad-key", "a key must be a word", "write `name: value`")

    def _value(self, top: _Open, target: MapNode, key: ScalarNode, node: Node) -> None:
        if key.text == _MERGE and key.plain:
            parts = node.values if isinstance(node, ListNode) else [node]
            maps = [part for part in parts if isinstance(part, MapNode)]
            if len(maps) != len(parts):
                self._report.error(
                    key.origin, self._path(), "merge-key", "<< takes a map or a list of maps", "write <<: *name"
                )
            top.merged.extend(reversed(maps))
        elif key.text in target.entries:
            first = target.entries[key.text].key
            message = f"the key stands twice, first at line {first.line}, column {first.column}"
            self._report.error(key.origin, self._path(), "duplicate-key", message, "keep one of them")
            earlier = target.entries[key.text].value
            if isinstance(earlier, MapNode) and isinstance(node, MapNode):  # judge what both hold
                both = MapNode({**node.entries, **earlier.entries}, earlier.origin)
                target.entries[key.text] = MapEntry(target.entries[key.text].key, both)
        else:
            target.entries[key.text] = MapEntry(key.origin, node)
