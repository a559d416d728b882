"""What the screens are made of, painted by the line."""
