"""Socket.IO: rooms, joins and announcements; writes only which events were announced."""
