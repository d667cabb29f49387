"""The exchange itself: options, request, response, caches, delegation."""
