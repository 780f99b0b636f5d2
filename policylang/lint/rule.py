"""What a rule is: a class with a name, a category, a page and one method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from policylang.diagnostics import Edit, Fix, Label, Severity
from policylang.record import record
from policylang.source import Span

if TYPE_CHECKING:
    from policylang.lint.policy import Policy

Category: TypeAlias = Literal["correctness", "security", "performance", "style"]
CATEGORIES: tuple[Category, ...] = ("correctness", "security", "performance", "style")


@record
class Finding:
    """As a Diagnostic, whose name is the rule's: `message` is one line without a full stop, `help` an action."""

    span: Span
    message: str
    label: str = ""
    labels: Sequence[Label] = ()
    help: str = ""
    fix: Fix | None = None


class Rule:
    """Derive, and write a docstring, which is the page: a first line that is a sentence, prose, then at the margin's
    right the bad example, a line `==`, the good one.

        limit_size request, 1MB
        ==
        limit_size request, 1MiB

    An example that begins with no declaration stands inside a service; an upstream `orders` and a map `clients` are
    there when it names them, and the gateway listens on loopback.
    """

    name: ClassVar[str]
    """kebab-case, says what is wrong, unique among all diagnostics."""
    category: ClassVar[Category]
    """The fix of a rule of correctness is not safe, though it may change nothing: it would take away what shows that
    something else was meant."""
    severity: ClassVar[Severity] = Severity.WARNING
    options: ClassVar[Mapping[str, Any]] = {}
    """What the configuration may set, with the usual values: numbers, texts, booleans, lists of texts."""
    in_every_policy: ClassVar[bool] = False
    """Whether a finding in a file that several policies import stands only when it is found in each of them: what is
    unused in one may be used in the other."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        """`options`: those that the configuration sets, of the names and types in `options`."""
        self.given: dict[str, Any] = {**self.options, **(options or {})}

    def check(self, policy: Policy) -> Iterable[Finding]:
        """Every place that is wrong, each once; the same place found again (an assertion is expanded at each of its
        calls) is dropped. Raises nothing: the policy has no errors."""
        raise TypeError(f"{type(self).__name__} has no check")


__all__ = ["CATEGORIES", "Category", "Edit", "Finding", "Fix", "Label", "Rule", "Severity"]
