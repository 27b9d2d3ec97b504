"""Whom to tell of what, in which words, and the ways there."""
