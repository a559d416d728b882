"""A guest's graphical screen in the terminal: how it is drawn, and how keys and mouse reach it."""
