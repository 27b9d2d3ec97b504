"""Pure values: what we talk about.  Standard library only."""
