"""First signs of fraud: counted, shown to the merchant, never judged."""
