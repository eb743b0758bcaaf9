"""The third reference application: a Telegram bot that publishes posts to channels when they are due, and counts who has seen them.

People talk to the bot (aiogram), programs to the API (FastAPI), and what takes time is done by Celery; the rules stand in ``posts.py``
and know none of the three. ``python -m examples.channelbot.demo`` shows all of it under traffic. The README beside this file is the map.
"""
