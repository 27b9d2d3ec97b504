"""Who does the work: threads of this process."""
