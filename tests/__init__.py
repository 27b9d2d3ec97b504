"""Tests: each one's docstring is a sentence that is true."""
