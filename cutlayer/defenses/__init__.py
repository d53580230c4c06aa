"""What a party does to the messages it sends."""
