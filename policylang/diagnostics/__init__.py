"""What the tools say about a policy: a stable name, a place, one sentence, and where it helps more."""

from policylang.diagnostics.model import Diagnostic, Edit, Fix, Label, Severity

__all__ = ["Diagnostic", "Edit", "Fix", "Label", "Severity"]
