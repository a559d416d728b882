"""A guest's terminal, emulated: what it prints becomes rows of cells, keys become bytes for it."""
