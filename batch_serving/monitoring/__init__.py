"""How good the predictions are, once their labels have come."""
