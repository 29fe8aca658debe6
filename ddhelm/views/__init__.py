"""Show a value: rich tables for people, a versioned JSON envelope for programs."""
