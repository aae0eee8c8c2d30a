"""What plugin authors test with: the conformance suite, real servers, faults."""
