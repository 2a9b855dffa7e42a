"""The container runtime's socket -> the pods of this node, and word of every change."""
