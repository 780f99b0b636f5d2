"""What an expert reviewer would say of a policy that is right as a text."""

from policylang.lint.policy import Policy
from policylang.lint.rule import Finding, Rule

__all__ = ["Finding", "Policy", "Rule"]
