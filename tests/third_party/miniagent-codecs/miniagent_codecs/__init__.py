"""A serializer, a layer, and a reader of old values."""
