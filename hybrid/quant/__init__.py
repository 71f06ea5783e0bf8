"""Numbers at few bits: quantizers, packed weights, the bytes of an uplink. Loads nothing itself."""
