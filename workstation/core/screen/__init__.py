"""Looking at a machine's screen, and working on it: pictures, keys, pointer.

`Screens` (verbs.py) is the way in, as `station.screens`; `Look` (look.py) is one open screen.
"""
