"""Banks that receive the merchants' money, behind one port."""
