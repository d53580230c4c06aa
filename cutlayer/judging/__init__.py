"""Where guess and truth meet: one judge, a metric or kind of guess a module, and the blind value of each."""
