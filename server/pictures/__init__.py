"""Pictures that come from outside are opened in a process of their own, under limits, and made anew."""
