"""What other programs import; an install makes this folder the package ``penapisan``."""
