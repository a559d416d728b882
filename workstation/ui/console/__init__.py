"""The screen on which one works at a guest's serial line."""
