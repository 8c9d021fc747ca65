"""Who has how much, and what moves it: ledger, payments, refunds, notices."""
