"""Networks as Sequentials of named blocks."""
