"""What a step can call: one file a namespace; ``registry`` lists all."""
