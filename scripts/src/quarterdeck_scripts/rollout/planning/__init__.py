"""`quarterdeck rollout plan`: says what a rollout could show, and what it could cost; works out nothing itself."""
