def lay_out(name: str) -> str:
    return ""
