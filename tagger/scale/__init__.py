"""Tagging beyond one machine: tables in shards, each tagged once, on workers of an engine."""
