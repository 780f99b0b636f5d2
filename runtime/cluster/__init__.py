"""The store that many gateways share: the maps of a Hazelcast cluster."""
