"""The mock of OpenAI's Realtime transcription endpoint: a pure protocol core (``session``) in a thin shell
(``server``).
"""
