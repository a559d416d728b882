"""Figures, each beside the raw tool in the same run: `python -m tests.bench [ROW…]`."""
