"""Where repositories come from: list, read a range, open for fetching."""
