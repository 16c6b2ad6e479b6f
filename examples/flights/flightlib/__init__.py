"""The steps that the workflows beside this folder share: ordinary importable functions.

``sources`` reads (and damages) data, ``quality`` judges it, ``features`` joins and splits it,
``models`` trains and compares, ``publish`` tells people and releases.
"""
