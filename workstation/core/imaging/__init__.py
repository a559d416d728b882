"""How an image is built from a recipe: packages, kernel modules, an initramfs of our own writing.

`build` is the way in; nothing here needs root, and no program out of a package is run.
"""
