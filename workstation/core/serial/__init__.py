"""A guest's serial line: the way to it, its log, and what a screen shows of it."""
