"""What comes after a run: resume it with its plan and price, compare it, reproduce it."""
