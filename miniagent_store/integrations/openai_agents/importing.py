"""Moving sessions over from the SDK's own SQLite file and Redis keys."""
