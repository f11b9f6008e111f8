"""Private helpers shared by several packages: files, text, arrays and messages."""
