"""One machine: made, started, stopped, and what state it is in."""
