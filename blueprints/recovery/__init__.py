"""Recovery: from a picture of a QR, or its text, back to the payment. It never moves money."""
