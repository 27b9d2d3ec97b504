"""Tests of this kind: acceptance; the real command against a real git server."""
