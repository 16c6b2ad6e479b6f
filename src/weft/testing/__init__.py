"""Tests of people's own workflows: ``weft test``, and the fixtures of the pytest plugin."""
