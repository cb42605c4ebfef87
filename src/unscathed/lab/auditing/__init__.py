"""Auditing: a model made by anything, on data that a person names, with a verdict and a page to show."""

from unscathed.lab.auditing.models import forget_digest, weights_digest
from unscathed.lab.auditing.request import AuditRequest
from unscathed.lab.auditing.run import AuditOutcome, audit_model
from unscathed.lab.auditing.shown import shown

__all__ = ["AuditOutcome", "AuditRequest", "audit_model", "forget_digest", "shown", "weights_digest"]
