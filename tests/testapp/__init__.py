"""An app with a model to write to; it has no smoke module of its own."""
