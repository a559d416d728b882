"""The wizard of a new machine: what it is made from, how it shall be, and a last look."""
