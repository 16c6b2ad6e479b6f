"""Are two outcomes the same? What the tests use of ``weft.client.outcomes``."""

from __future__ import annotations

from weft.client.outcomes import Outcome, difference, error_difference, outcome_difference, outcome_of

__all__ = ["Outcome", "difference", "error_difference", "outcome_difference", "outcome_of"]
