"""Audits: is the model whole, and is the data gone?"""

from unscathed.audit.audit import Tolerance, audit
from unscathed.audit.intervals import Difference
from unscathed.audit.membership import compare_membership, membership_auc
from unscathed.audit.verdict import Check, Verdict

__all__ = ["Check", "Difference", "Tolerance", "Verdict", "audit", "compare_membership", "membership_auc"]
