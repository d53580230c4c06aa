"""What stands between a party and the wire: the order of taps, work made ahead, hand-overs, recorders, measurements."""
