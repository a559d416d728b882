"""Machines that read in a bundle where it lies: opened, settled in, their stick pulled out."""
