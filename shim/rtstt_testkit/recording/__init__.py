"""Record realtime sessions, and use recordings: look at them, compare them, import those of other programs.

drift       what differs between two recordings
importing   recordings of browsers and of pydantic-ai
"""
