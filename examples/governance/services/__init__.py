"""The four services, a module each: ``assemble`` puts one together from settings, ``create_app`` makes its application from its parts."""
