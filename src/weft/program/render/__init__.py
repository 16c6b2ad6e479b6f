"""The flat graph as text, Mermaid, Graphviz and SVG."""
