"""Runtimes that break one rule of the contract each, to see that the contract notices."""
