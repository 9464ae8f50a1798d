"""Money set aside for inference: deposited, debited by signed requests, withdrawn after a delay."""
