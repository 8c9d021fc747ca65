"""E-mail: rows in the transaction of their cause, sent by a job, never within a request."""
