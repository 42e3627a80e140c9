// An empty preload: what Node itself takes to load one.
