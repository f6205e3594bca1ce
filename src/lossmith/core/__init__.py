"""What every loss is made of: parameters, domains, links, cards, states and the contract."""
