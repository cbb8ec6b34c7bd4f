"""The same work on very many files, by several machines: Ray Data, parts, and their assembly."""
