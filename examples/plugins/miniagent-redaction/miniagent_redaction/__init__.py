"""Keeps e-mail addresses, card numbers and the like out of what miniagent-store stores."""

from miniagent_redaction.redaction import Redaction
from miniagent_redaction.rules import RULES, Rule

__all__ = ["RULES", "Redaction", "Rule"]
