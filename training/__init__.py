"""How a release is made: data, base weights, fine-tuning, calibration, evaluation, export."""
