"""The fix as upstream pull requests and as npm patches, generated from sources a person has."""
