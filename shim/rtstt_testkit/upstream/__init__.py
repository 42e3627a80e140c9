"""Generate upstream pull requests and npm patches from a checkout or an installed package."""
