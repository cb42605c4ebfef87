"""The report: results as a page for a newcomer, and as a table for a terminal."""

from unscathed.lab.report.page import missing_extras, write_report
from unscathed.lab.report.table import summary_table

__all__ = ["missing_extras", "summary_table", "write_report"]
