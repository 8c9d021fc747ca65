"""The merchant's portal: its pages and the requests of their scripts."""
