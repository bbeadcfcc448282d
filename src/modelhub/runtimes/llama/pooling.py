"""How one vector is made of many."""

POOLING = {"none": 0, "mean": 1, "cls": 2, "lasttoken": 3}
"""llama.cpp's numbers (`enum llama_pooling_type`) for the names in `Model.details`."""
