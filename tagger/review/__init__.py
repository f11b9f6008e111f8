"""The round trip through Label Studio: papers go out for review, corrections come home."""
