"""Socket.IO: rooms, joining, announcing; no writes but what has been told."""
