"""Tables: means over seeds, never over anything else, for papers, pages and terminals."""

from unscathed.lab.tables.formats import Table
from unscathed.lab.tables.make import COLUMNS, ROWS, table

__all__ = ["COLUMNS", "ROWS", "Table", "table"]
