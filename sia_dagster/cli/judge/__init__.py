"""`sia judge`: list judges and how steady they are, and reset their anchors."""
