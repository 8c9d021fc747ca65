"""The payer's side of the simulated bank: signed in here, paying there. Development only."""
