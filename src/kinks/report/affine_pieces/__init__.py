"""Tables, figures and sentences on the affine pieces of networks and what rounding does to them (K1 to K6)."""
