"""An engine that is heavy to import, let us say."""
