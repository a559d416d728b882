"""What the program does, without a screen. docs/design.md has the map of its rooms."""
