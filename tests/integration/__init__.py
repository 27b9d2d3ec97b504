"""Real git, real servers and real processes together."""
