"""Readers: an export in, posts out; streaming, chosen by content."""

from screening.readers.exports import input_size, open_export
from screening.readers.table import Columns

__all__ = ["Columns", "input_size", "open_export"]
