"""Numbers at few bits: quantizers, layers, packed weights, uplink payloads. Loads nothing."""
