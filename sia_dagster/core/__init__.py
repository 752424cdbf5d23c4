"""What the product knows: models, ports, errors and the rules of evidence. No I/O and no clock."""
