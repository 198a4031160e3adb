"""Smoke tests of the shop: every module in this package is looked at, however deep.

A module whose name begins with an underscore is left out.
"""
