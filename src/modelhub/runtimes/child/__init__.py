"""The process that holds a model for another one: `python -m modelhub.runtimes.child`."""
