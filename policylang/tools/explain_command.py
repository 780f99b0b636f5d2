"""`pol explain`"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from policylang.check import check_files
from policylang.diagnostics.nearest import nearest
from policylang.source import Source
from policylang.tools.main import FINE, USAGE, use_color


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME",
        help="an assertion, function, statement or diagnostic; with --journal the policy, where it is not where it was",
    )  # fmt: skip
    parser.add_argument(
        "--journal", metavar="FILE",
        help="draw journals on the policy's text: documents, a line each, or an answer's head with `Polgate-Journal`;"
        " `-` is standard input",
    )  # fmt: skip
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="colour a journal")


def run(found: argparse.Namespace) -> int:
    return _page(found.name) if found.journal is None else _journals(found)


def _page(name: str | None) -> int:
    from policylang.tools.reference import names, page

    if name is None:
        print("\n".join(names()))
        return FINE
    text = page(name)
    if text is None:
        near = nearest(name, names())
        cure = f"; did you mean `{near}`?" if near else "; `pol explain` lists what there is"
        print(f"pol: nothing is named `{name}`{cure}", file=sys.stderr)
        return USAGE
    print(text.rstrip("\n"))
    return FINE


# --- journals ---


def _journals(found: argparse.Namespace) -> int:
    from policylang.tools.check_command import read
    from policylang.trace.picture import picture
    from policylang.trace.reading import NotAJournal, read_all

    text = read(found.journal).decode("utf-8", "replace")
    code = FINE
    policies = _Policies(found.name)
    try:
        for number, document in enumerate(read_all(text)):
            if number:
                print("\n" + "-" * 78 + "\n")
            sources = policies.sources(document)
            print(picture(document, sources, use_color(found.color)), end="")
    except NotAJournal as error:
        print(f"pol: {error}", file=sys.stderr)
        code = USAGE
    return code


class _Policies:
    """The texts that journals are drawn on; each policy is read once. `root`: where the user says that it is."""

    def __init__(self, root: str | None) -> None:
        self._root = root
        self._known: dict[str, tuple[str, list[Source]]] = {}
        self._warned: set[str] = set()

    def sources(self, document: dict[str, Any]) -> list[Source]:
        """The files of a document, by the names that it has for them."""
        root = self._root or next((part["file"] for part in document["parts"]), "")
        if not root:
            return []
        if root not in self._known:
            self._known[root] = self._read(root)
        hash, known = self._known[root]
        if hash and document["policy"] and hash != document["policy"]:
            self._warn(f"`{root}` is policy {hash} now, and this journal is of {document['policy']}: lines may differ")
        found = []
        for file in sorted({place["file"] for place in [*document["entries"], *document["parts"]]}):
            source = max(known, key=lambda each: _alike(each.name, file), default=None)
            if source is None or not _alike(source.name, file):
                source = _source(file)
            if source is None:
                self._warn(f"there is no `{file}` here: name the policy behind the journal, or start in its folder")
            else:
                found.append(Source(file, source.text))
        return found

    def _read(self, root: str) -> tuple[str, list[Source]]:
        """The policy's hash, "" where it cannot be told, and its files."""
        try:
            program = check_files([root]).program
        except OSError:
            if self._root is not None:
                raise
            program = None
        return ("", []) if program is None else (program.hash, list(program.sources))

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            print(f"pol: {text}", file=sys.stderr)


def _alike(left: str, right: str) -> int:
    """How many parts of two paths are the same, from their ends."""
    count = 0
    for one, other in zip(reversed(left.split("/")), reversed(right.split("/")), strict=False):
        if one != other:
            break
        count += 1
    return count


def _source(file: str) -> Source | None:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return Source(file, opened.read())
    except OSError:
        return None
