"""The ledger and what moves money in it: payments, refunds, notices to the service."""
