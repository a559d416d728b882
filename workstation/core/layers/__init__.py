"""Layers and heads: the store, and what freezes, goes back, squashes, collects and mends."""
