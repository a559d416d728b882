"""What comes before a machine is made: what it is made from, whether it fits, what it needs."""
