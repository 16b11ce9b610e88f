"""What is asked: the problem file, flags and layer lists."""
