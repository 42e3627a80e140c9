"""The source rules: find in source code what OpenAI's realtime endpoint refuses, and rewrite what is certain."""
