"""Real servers on loopback, on free ports, that go wrong when told to."""
