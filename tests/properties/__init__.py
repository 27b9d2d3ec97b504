"""Tests of this kind: properties."""
