"""Numbers at few bits: quantizers, layers, packed weights, uplink payloads. Imports nothing."""
