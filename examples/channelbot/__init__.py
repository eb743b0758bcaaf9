"""The third reference application: a bot that looks after channels. The README beside this file is the map."""
