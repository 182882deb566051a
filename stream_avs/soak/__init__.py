"""A long run, watched from outside: does anything grow?"""
