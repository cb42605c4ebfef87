"""Tables: means over seeds, never over anything else, for papers, pages and terminals."""

from unscathed.lab.tables.formats import Table
from unscathed.lab.tables.make import table

__all__ = ["Table", "table"]
