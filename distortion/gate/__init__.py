"""The gate: may a compressed network replace its dense one? Limits in, a verdict and a page out."""
