"""Write a token of the tutorial's old system, and the secret that the Action checks it with."""

from __future__ import annotations

import hashlib
import hmac
import time
from pathlib import Path

KEY = "what-the-old-system-signs-with"

message = f"ada.{int(time.time()) + 60}"
signature = hmac.new(KEY.encode(), message.encode(), hashlib.sha256).hexdigest()
Path("token.txt").write_text(f"{message}.{signature}\n")
Path("dev.env").write_text(f"LEGACY_KEY={KEY}\n")
