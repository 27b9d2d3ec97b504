"""Bare repositories and the git program: where refs and their objects live."""
