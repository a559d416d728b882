"""Frozen values: profiles, machines, layers, events. No I/O."""
