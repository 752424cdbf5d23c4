"""Money: prices, the spend ledger of a window, and its caps."""
