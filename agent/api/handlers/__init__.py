"""What the routes do: each takes an Ask and gives what JSON can say."""
