"""Profiles: from YAML to values, with every problem at once, and back."""
