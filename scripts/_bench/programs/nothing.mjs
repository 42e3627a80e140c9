// An empty preload: the time that Node.js itself takes to load one.
