"""Penapisan's core: what a post is, and what a score means."""
