"""What of which image the model is to see."""
