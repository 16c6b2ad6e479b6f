"""Deterministic simulation of the shipped driver, machine and store; ``python -m tests.simulation`` runs it."""
