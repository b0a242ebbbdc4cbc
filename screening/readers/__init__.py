"""Readers: an export in, posts out; streaming, chosen by content."""
