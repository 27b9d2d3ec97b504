"""Tests of this kind: contracts."""
