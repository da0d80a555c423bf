"""How the embedded demonstration model is made; not part of the package."""
