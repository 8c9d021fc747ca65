"""The optimisations of docs/performance.md, each beside the plain form it stands for."""
