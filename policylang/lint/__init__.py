"""What an expert reviewer would say of a policy that is right as a text."""

from policylang.lint.configuration import Configuration
from policylang.lint.policy import Policy
from policylang.lint.rule import Finding, Rule
from policylang.lint.run import lint

__all__ = ["Configuration", "Finding", "Policy", "Rule", "lint"]
