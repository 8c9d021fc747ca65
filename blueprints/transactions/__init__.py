"""The same payments in the words of two other systems: transactions, states, watch codes."""
