"""Reading codes and the charges behind them."""
