"""Second factors: enroll, challenge and verify them, and finish what they interrupted."""
