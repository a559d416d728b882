"""Machines in one file: written, read, verified, signed. docs/bundle-format.md is the contract."""
