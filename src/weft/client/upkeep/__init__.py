"""A home in good order: verify, collect garbage, back up and restore, find what is wrong."""
