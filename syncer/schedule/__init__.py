"""Who is due, and how far behind we are.  Pure: state and time in, values out."""
