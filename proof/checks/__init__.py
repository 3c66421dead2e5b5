"""One file a family. A check is a function with `@check`, which gives back what it measured."""
