"""What is wrong with an installation, or will be: checks with codes and remedies."""
