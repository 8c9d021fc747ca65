"""The merchant's portal: pages, and what their scripts ask for, on the same verbs as others."""
