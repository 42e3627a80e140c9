"""Record realtime sessions, and use recordings: compare them, import those of other programs.

recorder    a recording that is being made
proxy       passes HTTP and WebSockets on to the endpoint
endpoint    the endpoint
tap         the messages of a WebSocket whose bytes pass by
drift       what differs between two recordings
reenact     a recorded client, sent to another server
importing   recordings of browsers and of pydantic-ai
"""
