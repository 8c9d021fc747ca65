"""The payer's pages: sign in here, pay at the simulated bank. Development only."""
