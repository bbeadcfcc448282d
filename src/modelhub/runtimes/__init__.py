"""What runs a model: the contract, discovery, devices, instances, and one file an engine."""
