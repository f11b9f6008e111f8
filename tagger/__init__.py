"""Tag papers by what they contribute and what they are about."""

__version__ = "0.1.0"
