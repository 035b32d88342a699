"""`python -m pilot doctor`: does what the pilot will do, step by step, and says what works here and what does not."""
