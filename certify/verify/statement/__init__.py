"""What a certificate states: data, layers, penalties, convex part, loss; its objective and its dual value."""
