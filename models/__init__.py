"""How a text becomes numbers: engines, and the shipped releases."""
