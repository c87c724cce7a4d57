"""The pages of the documentation (*.md): their blocks of code, links, and the options and files that they name."""

import os
import re

HEADING = re.compile(r"^#+ +(.*?) *$")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
COMMENT = re.compile(r"^<!-- (not run|first): (.*\S) -->$")


class Block:
    """A fenced block: its language, text, line, why it is not run ("": it is), and what has to be run before it."""

    def __init__(self, language, line, not_run, first):
        self.language, self.line, self.not_run, self.first, self.lines = language, line, not_run, first, []

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"


class Page:
    def __init__(self, root, path):
        self.root, self.path = root, path
        with open(os.path.join(root, path), encoding="utf-8") as file:
            self.lines = file.read().splitlines()
        self.blocks, self.prose = [], []  # prose: (line, text) outside of blocks
        block, said = None, {"not run": "", "first": []}
        for number, line in enumerate(self.lines, 1):
            if block is not None:
                if line.startswith("```"):
                    block = None
                else:
                    block.lines.append(line)
            elif line.startswith("```"):
                block = Block(line[3:].strip(), number, said["not run"], said["first"])
                self.blocks.append(block)
                said = {"not run": "", "first": []}
            elif COMMENT.match(line):
                kind, words = COMMENT.match(line).groups()
                said[kind] = words if kind == "not run" else said[kind] + [words]
            else:
                self.prose.append((number, line))

    def where(self, line):
        return "%s:%d" % (self.path, line)

    def anchors(self):
        """Of each heading, as GitHub makes them."""
        found = {}
        for _, line in self.prose:
            match = HEADING.match(line)
            if match:
                text = re.sub(r"[`*]|\]\([^)]*\)|\[", "", match[1]).lower()
                name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
                found[name] = found.get(name, -1) + 1
        return {name if not at else "%s-%d" % (name, at) for name, count in found.items() for at in range(count + 1)}

    def links(self):
        return [(line, target) for line, text in self.prose for target in LINK.findall(re.sub(r"`[^`]*`", "", text))]

    def code(self):
        """(line, text) of each piece of code within the prose; one may go on in the next line."""
        text = "\n".join("" if COMMENT.match(line) else line for line in self._prose_lines())
        for paragraph in re.finditer(r"(?:[^\n]+\n?)+", text):
            for span in re.finditer(r"`([^`]+)`", paragraph[0]):
                line = text.count("\n", 0, paragraph.start() + span.start()) + 1
                yield line, span[1].replace("\n", " ").replace("\\|", "|")

    def _prose_lines(self):
        kept = dict(self.prose)
        return [kept.get(number, "") for number in range(1, len(self.lines) + 1)]


def pages(root):
    """All of the repository."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "build")) and name not in ("runs", "__pycache__"))
        found += [os.path.relpath(os.path.join(folder, name), root) for name in sorted(files) if name.endswith(".md")]
    return [Page(root, path) for path in found]
