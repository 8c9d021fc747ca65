"""`flask doctor`: what is wrong with this installation, one sentence for each part."""
