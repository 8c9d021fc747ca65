"""Pages and APIs of the bank: what a browser, a payer and the service ask."""
