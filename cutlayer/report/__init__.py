"""The report of a run: one self-contained HTML file, and a table for the terminal."""

from cutlayer.report.page import write_report
from cutlayer.report.table import summary_tables

__all__ = ["summary_tables", "write_report"]
