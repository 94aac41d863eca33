"""How unequal classes are, beside the slope α."""
