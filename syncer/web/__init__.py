"""The HTTP face: what the catalog knows, for machines and for people."""
