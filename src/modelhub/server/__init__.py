"""HTTP over a Hub; its routes come with the `server` extra."""
