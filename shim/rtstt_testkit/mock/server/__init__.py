"""Sockets, HTTP and threads around sessions; no protocol knowledge."""
