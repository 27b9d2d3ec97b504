"""What happened in a span of time, for people: pure, handed what it tells of."""
