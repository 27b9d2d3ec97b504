"""Side-by-side measurements: each is one command that prints ratios and its bars.

Run from the checkout: `.venv/bin/python -m bench.incremental`, or `make bench`.
Absolute times are the machine's; the ratios are taken within one run.
"""
