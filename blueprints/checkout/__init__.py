"""The shopper's pages: payment, receipt, brand, traces."""
