"""What upstream hosts have: their refs, asked by one request."""
