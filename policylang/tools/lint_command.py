"""`pol lint`"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from policylang.catalog import load_catalog
from policylang.diagnostics import Diagnostic, Severity
from policylang.lint.configuration import Configuration
from policylang.lint.configured import cure, for_policy
from policylang.lint.known import UnfitRule, all_rules
from policylang.lint.rule import CATEGORIES, Rule
from policylang.lint.run import Linted, RuleFailed, lint, of_all
from policylang.record import record
from policylang.tools.check_command import read
from policylang.tools.findings import show
from policylang.tools.main import DEFECT, FINDINGS, FINE, USAGE, add_format, use_color
from policylang.tools.policies import some_policies
from policylang.tools.stand_ins import check_alone


class Words(argparse.Action):
    """`--rule a,b --rule c`: a list with commas, given as often as one likes."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if before is self.default else f"{before},{values}")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="*", metavar="FILE", default=["."],
        help="a policy, or a folder with some (usually this one); `-` is standard input",
    )  # fmt: skip
    parser.add_argument("--rule", action=Words, default="", metavar="NAMES", help="run these rules alone")
    parser.add_argument("--category", action=Words, default="", metavar="NAMES", help="run the rules of these alone")
    parser.add_argument("--disable", action=Words, default="", metavar="NAMES", help="leave out rules or categories")
    parser.add_argument("--config", metavar="PATH", help="the configuration (usually the nearest `pol.toml`)")
    parser.add_argument("--fix", action="store_true", help="mend what can be mended without a change of meaning")
    parser.add_argument("--unsafe", action="store_true", help="with --fix or --diff: mend also what needs a look")
    parser.add_argument("--diff", action="store_true", help="change nothing; show what --fix would change")
    parser.add_argument("--list", action="store_true", help="list the rules")
    add_format(parser)


def run(found: argparse.Namespace) -> int:
    """Each file is the root of a policy of its own. Advice alone is no reason to fail."""
    try:
        rules = all_rules()
        wanted = _wanted(found, rules)
        if wanted is None:
            return USAGE
        if found.list:
            return _list(rules, wanted)
        roots = _roots(found, rules, wanted)
        if isinstance(roots, list):
            return _mend(found, roots) if found.fix or found.diff else _lint(found, roots)
        return roots
    except UnfitRule as error:
        print(f"pol: {error}", file=sys.stderr)
        return USAGE
    except RuleFailed as error:
        print(f"pol: {error}\nplease report it with the policy that shows it", file=sys.stderr)
        return DEFECT


@record
class Root:
    file: str
    configuration: Configuration


def _wanted(found: argparse.Namespace, rules: Sequence[type[Rule]]) -> Configuration | None:
    """What the flags say; None when they say what nothing knows, which is reported."""
    names = [rule.name for rule in rules]
    known: dict[str, list[str]] = {"rule": names, "category": [*CATEGORIES], "disable": [*CATEGORIES, *names]}
    said = {flag: [word.strip() for word in getattr(found, flag).split(",") if word.strip()] for flag in known}
    for flag, words in said.items():
        for word in words:
            if word not in known[flag]:
                kind = "rule or category" if flag == "disable" else flag
                print(f"pol: no {kind} is called `{word}`; {cure(word, known[flag])}", file=sys.stderr)
                return None
    if found.unsafe and not (found.fix or found.diff):
        print("pol: `--unsafe` says which fixes --fix and --diff take; give one of them", file=sys.stderr)
        return None
    return Configuration(only=frozenset(said["rule"] + said["category"]), without=frozenset(said["disable"]))


def _roots(found: argparse.Namespace, rules: Sequence[type[Rule]], wanted: Configuration) -> list[Root] | int:
    """The policies with the configuration of each; an exit code when one of these is wrong, which is reported."""
    roots, wrong = [], []
    for file in some_policies(found.files):
        written, diagnostics = for_policy(file, rules, read, found.config)
        roots.append(Root(file, Configuration(written.folder, written.layers, wanted.only, wanted.without)))
        wrong += [each for each in diagnostics if each not in wrong]
    if wrong:
        show(wrong, found.format, use_color(found.color))
        return USAGE
    return roots


def _list(rules: Sequence[type[Rule]], wanted: Configuration) -> int:
    from policylang.tools.rule_pages import summary

    chosen = wanted.choices("policy.pol", rules)
    width = max((len(name) for name in chosen), default=0)
    for category in CATEGORIES:
        here = [rule for rule in rules if rule.category == category and rule.name in chosen]
        if here:
            print(category)
        for rule in here:
            print(f"  {rule.name:{width}}  {rule.severity.value:7}  {summary(rule)}")
    return FINE


def _lint(found: argparse.Namespace, roots: Sequence[Root]) -> int:
    linted = _look(roots, {}, {})
    code = _tell(found, linted)
    if found.format == "text":
        fixes = [each.fix for each in of_all([each for each in linted if each[0].program is not None]) if each.fix]
        safe = sum(fix.safe for fix in fixes)
        for flags, count in (("--fix", safe), ("--fix --unsafe", len(fixes))):
            if count and (flags == "--fix" or count > safe):
                print(f"`pol lint {flags}` mends {count} of them", file=sys.stderr)
    return code


def _mend(found: argparse.Namespace, roots: Sequence[Root]) -> int:
    from policylang.lint.mend import mend
    from policylang.tools.rewriting import difference, replace

    known: dict[str, bytes] = {}
    result = mend(lambda texts: _look(roots, texts, known), found.unsafe)
    changed = {file: (known[file].decode("utf-8"), text) for file, text in result.texts.items()}
    if found.diff:
        for file, (before, after) in changed.items():
            print(difference(file, before, after, "mended"))
        return FINDINGS if changed else FINE
    for file, (before, after) in changed.items():
        if file != "-" and before != after:
            replace(file, after)
            print(f"{file}: mended", file=sys.stderr)
    if any(root.file == "-" for root in roots):
        sys.stdout.write(changed["-"][1] if "-" in changed else known["-"].decode("utf-8", "surrogateescape"))
        return _tell(found, result.policies, sys.stderr)
    return _tell(found, result.policies)


def _look(roots: Sequence[Root], texts: Mapping[str, str], known: dict[str, bytes]) -> Linted:
    """Every policy checked and linted, with these texts in place of the files'; `known` keeps what was read."""

    def load(path: str) -> bytes:
        if path in texts:
            return texts[path].encode("utf-8")
        if path not in known:
            known[path] = read(path)
        return known[path]

    linted = []
    for root in roots:
        checked = check_alone(root.file, load)
        linted.append((checked, lint(checked, load_catalog(), root.configuration)))
    return linted


def _tell(found: argparse.Namespace, linted: Linted, to: TextIO | None = None) -> int:
    diagnostics = of_all(linted)
    show(diagnostics, found.format, use_color(found.color), _files(linted), to)
    if not diagnostics and found.format == "text":
        count = len(linted)
        print(f"{count} polic{'y' if count == 1 else 'ies'} read, nothing to say", file=sys.stderr)
    return _code(diagnostics)


def _files(linted: Linted) -> list[str]:
    return list(dict.fromkeys(file.source.name for checked, _ in linted for file in checked.files))


def _code(diagnostics: Sequence[Diagnostic]) -> int:
    return FINDINGS if any(each.severity is not Severity.INFO for each in diagnostics) else FINE

