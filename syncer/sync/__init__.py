"""The verbs of one run.  They talk to ports and never to each other's adapters."""
